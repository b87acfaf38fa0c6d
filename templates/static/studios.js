// The generators of the page's subjects, and how their next pictures are to be.

import { anySeed, Studio } from "./studio.js";

export class Studios {
  #studios = new Map();
  #settings = new Map(); // by subject: {psi, label}

  /** `root` is the site's address. */
  constructor(root) {
    this.root = root;
  }

  of(subject) {
    if (!this.#studios.has(subject)) this.#studios.set(subject, new Studio(subject, this.root));
    return this.#studios.get(subject);
  }

  /** What new pictures are drawn with: {psi, label}, to be changed in place. */
  settings(subject) {
    if (!this.#settings.has(subject)) this.#settings.set(subject, usual(subject));
    return this.#settings.get(subject);
  }

  /** A picture that nobody has seen. */
  newPick(subject) {
    return { subject, live: true, seed: anySeed(), ...this.settings(subject) };
  }

  /** A picture as the registry would have it drawn. */
  ordinaryPick(subject) {
    return { subject, live: true, seed: anySeed(), ...usual(subject) };
  }
}

const usual = ({ live, psi }) => ({ psi: live?.psi ?? Number(psi), label: live?.class ?? undefined });
