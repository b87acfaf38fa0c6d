"""Files that torch.save wrote, zip archives and the older layout."""
