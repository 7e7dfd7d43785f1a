"""Evidence that the files of recordings can be downloaded."""
