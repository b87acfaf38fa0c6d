"""A registry becomes a site folder."""
