"""Images from and to tar archives: load, save, import, commit."""
