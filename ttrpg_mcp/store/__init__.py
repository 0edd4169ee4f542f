"""The storage on SQLite: one file a campaign, one for the server; what was answered is on the disk. All SQL is here."""
