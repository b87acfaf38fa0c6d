// What was shown last, even before a reload, so that it isn't drawn again at once.

export class Seen {
  constructor(place) {
    this.key = `metagan:last:${place}`;
  }

  get() {
    try {
      return sessionStorage.getItem(this.key);
    } catch {
      return null;
    }
  }

  set(name) {
    try {
      sessionStorage.setItem(this.key, name);
    } catch {
      // Storage may be switched off; then only the trail remembers.
    }
  }
}
