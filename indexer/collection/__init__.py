"""What lies in object storage and why, and the removal of what nothing needs any more: mark and sweep."""
