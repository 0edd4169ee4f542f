-- The server's own file: its state, its secrets, the list of campaigns, and who used which last.

PRAGMA application_id = 1414812231; -- 0x54545247, "TTRG"

CREATE TABLE server_state (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL CHECK (json_valid(value))
) STRICT;

CREATE TABLE secret (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE answer (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    tool TEXT NOT NULL,
    call_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq >= 0),
    body TEXT NOT NULL CHECK (json_valid(body)),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT;

CREATE TABLE registry (
    campaign_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    system TEXT NOT NULL, -- so that a start can finish what it finds 'creating'
    status TEXT NOT NULL CHECK (status IN ('creating', 'open', 'paused', 'archived')),
    lineage TEXT NOT NULL,
    head_seq INTEGER NOT NULL CHECK (head_seq >= 0),
    schema INTEGER NOT NULL CHECK (schema > 0),
    request_key TEXT,
    last_opened_at_ms INTEGER,
    last_backup_seq INTEGER,
    last_backup_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE preference (
    principal TEXT NOT NULL PRIMARY KEY,
    campaign_id TEXT NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT;
