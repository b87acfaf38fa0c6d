// The generators of the page's subjects, and how their next pictures are to be.

import { usualLabel } from "./address.js";
import { keptAddresses } from "./live/cache.js";
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

  /** Those of the subjects whose generator can run here without a network. */
  async kept(subjects) {
    const addresses = await keptAddresses();
    const isKept = ({ live }) => live && addresses.has(new URL(live.url, this.root).href);
    const kept = subjects.filter((subject) => isKept(subject) || this.#studios.get(subject)?.ready);
    await Promise.all(kept.map((subject) => this.of(subject).consider()));
    return kept.filter((subject) => this.of(subject).hopeful);
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

const usual = ({ live, psi }) => ({ psi: live?.psi ?? Number(psi), label: usualLabel(live) });
