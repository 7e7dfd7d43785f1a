"""The source of the recording and alerting rules, by subject."""
