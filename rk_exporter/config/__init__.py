"""The configuration: options, files, tokens and lists of meetings, parsed once."""
