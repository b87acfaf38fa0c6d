"""A built site goes to a branch, a folder or a storage."""
