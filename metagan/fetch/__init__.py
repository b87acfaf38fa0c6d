"""From a reference to weights, a URL, a hub's repository or a bundled name, to a verified file on this machine."""
