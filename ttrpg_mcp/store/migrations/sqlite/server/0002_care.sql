-- Who may come in, what was set aside, what the rules services said, what the game master should know, and how well
-- the server did, minute by minute.

CREATE TABLE access_token (
    token_hash BLOB NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32),
    principal TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('gm', 'player', 'spectator')),
    campaign_id TEXT,
    label TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER,
    last_used_at_ms INTEGER
) STRICT;

CREATE TABLE quarantine (
    id TEXT NOT NULL PRIMARY KEY,
    campaign_id TEXT NOT NULL,
    folder TEXT NOT NULL,
    reason TEXT NOT NULL,
    report TEXT NOT NULL CHECK (json_valid(report)),
    found_at_ms INTEGER NOT NULL,
    resolved_at_ms INTEGER
) STRICT;

CREATE TABLE rules_cache (
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    edition TEXT NOT NULL,
    lang TEXT NOT NULL,
    etag TEXT NOT NULL,
    body TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('hit', 'miss')),
    fetched_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER NOT NULL,
    PRIMARY KEY (provider, kind, key, edition, lang)
) STRICT;

CREATE TABLE notification (
    id TEXT NOT NULL PRIMARY KEY,
    dedupe_key TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('critical', 'high', 'medium', 'low')),
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('recovering', 'recovered', 'degraded', 'needs_you', 'failed')),
    attempt INTEGER,
    attempts_max INTEGER,
    next_at_ms INTEGER,
    alternatives TEXT NOT NULL CHECK (json_valid(alternatives)),
    count INTEGER NOT NULL CHECK (count > 0),
    created_at_ms INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    dismissed_by TEXT
) STRICT;

CREATE UNIQUE INDEX notification_by_cause ON notification (dedupe_key) WHERE status <> 'recovered';

CREATE TABLE slo_minute (
    minute INTEGER PRIMARY KEY,
    good INTEGER NOT NULL CHECK (good >= 0),
    bad INTEGER NOT NULL CHECK (bad >= 0),
    degraded INTEGER NOT NULL CHECK (degraded >= 0),
    down_ms INTEGER NOT NULL CHECK (down_ms >= 0),
    by_code TEXT NOT NULL CHECK (json_valid(by_code))
) STRICT;
