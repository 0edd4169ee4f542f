-- All that is at the table: people, sessions, characters, encounters, notes, maps and random tables; the ledger; and
-- what keeps the server going: sagas, messages, dead letters, notices and checkpoints.

CREATE TABLE member (
    campaign_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('gm', 'player', 'spectator')),
    display_name TEXT NOT NULL,
    character_ids TEXT NOT NULL CHECK (json_valid(character_ids)),
    turn_policy TEXT NOT NULL CHECK (turn_policy IN ('wait', 'delay', 'skip', 'dodge', 'gm_control')),
    last_seen_at_ms INTEGER, -- at most once a minute, and not logged
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, principal)
) STRICT;

CREATE TABLE session (
    campaign_id TEXT NOT NULL,
    number INTEGER NOT NULL CHECK (number > 0),
    title TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'paused', 'ended')),
    started_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER,
    recap TEXT NOT NULL,
    player_recap TEXT NOT NULL,
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, number)
) STRICT;

CREATE TABLE character (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('pc', 'npc', 'companion', 'monster')),
    owner TEXT,
    status TEXT NOT NULL CHECK (status IN ('pending', 'active', 'retired', 'dead')),
    saga_id TEXT,
    data TEXT NOT NULL CHECK (json_valid(data)),
    created_at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, id),
    UNIQUE (campaign_id, name_key)
) STRICT;

CREATE TABLE encounter (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('planned', 'active', 'paused', 'ended')),
    session_number INTEGER,
    map_id TEXT,
    round_number INTEGER NOT NULL CHECK (round_number >= 0), -- 1-based; 0 before the first
    turn_index INTEGER NOT NULL CHECK (turn_index >= 0), -- 0-based
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, id)
) STRICT;

CREATE TABLE combatant (
    campaign_id TEXT NOT NULL,
    encounter_id TEXT NOT NULL,
    id TEXT NOT NULL,
    character_id TEXT,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    side TEXT NOT NULL,
    position INTEGER NOT NULL, -- among those of equal initiative too
    initiative REAL,
    hidden INTEGER NOT NULL CHECK (hidden IN (0, 1)),
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, encounter_id, id)
) STRICT;

CREATE TABLE note (
    campaign_id TEXT NOT NULL,
    note_number INTEGER PRIMARY KEY, -- of our own: VACUUM may renumber implicit rowids, and note_fts points here
    id TEXT NOT NULL,
    title TEXT NOT NULL,
    title_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    secret TEXT NOT NULL,
    tags TEXT NOT NULL, -- one a line, for the search; note_tag has their keys
    visibility TEXT NOT NULL CHECK (visibility IN ('gm', 'players', 'named')),
    session_number INTEGER,
    pinned INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    data TEXT NOT NULL CHECK (json_valid(data)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    UNIQUE (campaign_id, id),
    UNIQUE (campaign_id, title_key)
) STRICT;

CREATE VIRTUAL TABLE note_fts USING fts5 (
    title, body, secret, tags,
    content = 'note', content_rowid = 'note_number', tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
);

-- The 'delete' form needs the values exactly as they were indexed.
CREATE TRIGGER note_found AFTER INSERT ON note BEGIN
    INSERT INTO note_fts (rowid, title, body, secret, tags)
    VALUES (new.note_number, new.title, new.body, new.secret, new.tags);
END;
CREATE TRIGGER note_lost AFTER DELETE ON note BEGIN
    INSERT INTO note_fts (note_fts, rowid, title, body, secret, tags)
    VALUES ('delete', old.note_number, old.title, old.body, old.secret, old.tags);
END;
CREATE TRIGGER note_rewritten AFTER UPDATE OF note_number, title, body, secret, tags ON note BEGIN
    INSERT INTO note_fts (note_fts, rowid, title, body, secret, tags)
    VALUES ('delete', old.note_number, old.title, old.body, old.secret, old.tags);
    INSERT INTO note_fts (rowid, title, body, secret, tags)
    VALUES (new.note_number, new.title, new.body, new.secret, new.tags);
END;

CREATE TABLE note_link (
    campaign_id TEXT NOT NULL,
    from_note TEXT NOT NULL,
    to_kind TEXT NOT NULL,
    to_id TEXT NOT NULL,
    label TEXT NOT NULL,
    PRIMARY KEY (campaign_id, from_note, to_kind, to_id, label)
) STRICT;

CREATE INDEX note_link_by_target ON note_link (campaign_id, to_kind, to_id);

CREATE TABLE note_tag (
    campaign_id TEXT NOT NULL,
    tag_key TEXT NOT NULL,
    note_id TEXT NOT NULL,
    PRIMARY KEY (campaign_id, tag_key, note_id)
) STRICT;

CREATE INDEX note_tag_by_note ON note_tag (campaign_id, note_id);

CREATE TABLE note_reader (
    campaign_id TEXT NOT NULL,
    note_id TEXT NOT NULL,
    principal TEXT NOT NULL,
    PRIMARY KEY (campaign_id, note_id, principal)
) STRICT;

CREATE TABLE map (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    grid TEXT NOT NULL CHECK (grid IN ('square', 'gridless') OR grid GLOB 'hex_?*'),
    width INTEGER NOT NULL CHECK (width > 0),
    height INTEGER NOT NULL CHECK (height > 0),
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, id)
) STRICT;

CREATE TABLE map_row (
    campaign_id TEXT NOT NULL,
    map_id TEXT NOT NULL,
    row INTEGER NOT NULL CHECK (row >= 0), -- 0 in the north
    cells TEXT NOT NULL, -- one letter a cell
    elevation TEXT CHECK (elevation IS NULL OR json_valid(elevation)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, map_id, row)
) STRICT;

CREATE TABLE map_memory (
    campaign_id TEXT NOT NULL,
    map_id TEXT NOT NULL,
    audience TEXT NOT NULL,
    row INTEGER NOT NULL CHECK (row >= 0),
    cells TEXT NOT NULL,
    edges TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, map_id, audience, row)
) STRICT;

CREATE TABLE map_part (
    campaign_id TEXT NOT NULL,
    map_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('walls', 'door', 'light', 'region', 'area')),
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, map_id, id)
) STRICT;

CREATE TABLE token (
    campaign_id TEXT NOT NULL,
    map_id TEXT NOT NULL,
    id TEXT NOT NULL,
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    character_id TEXT,
    combatant_id TEXT,
    x INTEGER NOT NULL, -- in 1/256 of a square
    y INTEGER NOT NULL,
    side TEXT NOT NULL,
    hidden INTEGER NOT NULL CHECK (hidden IN (0, 1)),
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, map_id, id)
) STRICT;

CREATE TABLE random_table (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    name_key TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('table', 'macro')),
    character_id TEXT,
    expression TEXT NOT NULL,
    entries TEXT NOT NULL CHECK (json_valid(entries)),
    drawn TEXT NOT NULL CHECK (json_valid(drawn)),
    source TEXT NOT NULL,
    licence TEXT NOT NULL,
    data TEXT NOT NULL CHECK (json_valid(data)),
    version INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, id),
    UNIQUE (campaign_id, name_key)
) STRICT;

CREATE TABLE posting (
    campaign_id TEXT NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    line INTEGER NOT NULL CHECK (line >= 0),
    account TEXT NOT NULL, -- a character id, stash or world
    kind TEXT NOT NULL CHECK (kind IN ('coins', 'item', 'xp')),
    what TEXT NOT NULL,
    amount INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (campaign_id, seq, line)
) STRICT;

CREATE TRIGGER posting_keep BEFORE UPDATE ON posting BEGIN SELECT RAISE(ABORT, 'posting is append only'); END;
CREATE TRIGGER posting_stay BEFORE DELETE ON posting BEGIN SELECT RAISE(ABORT, 'posting is append only'); END;

CREATE TABLE saga (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    definition_version INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('running', 'compensating', 'done', 'undone', 'stuck')),
    principal TEXT NOT NULL,
    request_key TEXT,
    context TEXT NOT NULL CHECK (json_valid(context)),
    step_index INTEGER NOT NULL CHECK (step_index >= 0),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    lease_owner TEXT,
    lease_until_ms INTEGER,
    fence INTEGER NOT NULL CHECK (fence >= 0),
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, id)
) STRICT;

CREATE UNIQUE INDEX saga_by_request ON saga (campaign_id, principal, request_key) WHERE status <> 'undone';

CREATE TABLE saga_step (
    campaign_id TEXT NOT NULL,
    saga_id TEXT NOT NULL,
    step_index INTEGER NOT NULL CHECK (step_index >= 0),
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('compensatable', 'pivot', 'retriable')),
    status TEXT NOT NULL CHECK (status IN ('waiting', 'intended', 'done', 'compensated', 'failed', 'skipped')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    intent_key TEXT NOT NULL,
    result TEXT CHECK (result IS NULL OR json_valid(result)),
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, saga_id, step_index)
) STRICT;

CREATE TABLE outbox (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    destination TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    dedupe_key TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'sending', 'sent', 'dead')),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    next_at_ms INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until_ms INTEGER,
    fence INTEGER NOT NULL CHECK (fence >= 0),
    error TEXT CHECK (error IS NULL OR json_valid(error)),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    created_at_ms INTEGER NOT NULL,
    sent_at_ms INTEGER,
    PRIMARY KEY (campaign_id, id),
    UNIQUE (campaign_id, dedupe_key)
) STRICT;

CREATE INDEX outbox_by_turn ON outbox (campaign_id, status, next_at_ms);

CREATE TABLE dead_letter (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    arguments TEXT NOT NULL CHECK (json_valid(arguments)),
    errors TEXT NOT NULL CHECK (json_valid(errors)),
    attempts INTEGER NOT NULL CHECK (attempts >= 0),
    principal TEXT NOT NULL,
    request_key TEXT,
    status TEXT NOT NULL CHECK (status IN ('waiting', 'retried', 'done', 'discarded')),
    resolution TEXT,
    first_at_ms INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, id)
) STRICT;

CREATE TABLE notification (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
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
    dismissed_by TEXT,
    PRIMARY KEY (campaign_id, id)
) STRICT;

CREATE UNIQUE INDEX notification_by_cause ON notification (campaign_id, dedupe_key) WHERE status <> 'recovered';

CREATE TABLE checkpoint (
    campaign_id TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT,
    name_key TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('auto', 'turn', 'session', 'named', 'safety')),
    seq INTEGER NOT NULL CHECK (seq >= 0),
    schema INTEGER NOT NULL CHECK (schema > 0),
    session_number INTEGER,
    roll_number INTEGER NOT NULL CHECK (roll_number >= 0),
    manifest_hash BLOB NOT NULL CHECK (length(manifest_hash) = 32),
    status TEXT NOT NULL CHECK (status IN ('valid', 'invalid')),
    status_reason TEXT,
    bytes_new INTEGER NOT NULL CHECK (bytes_new >= 0),
    created_at_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (campaign_id, id),
    UNIQUE (campaign_id, name_key)
) STRICT;

CREATE INDEX checkpoint_by_seq ON checkpoint (campaign_id, seq);

CREATE TABLE checkpoint_part (
    campaign_id TEXT NOT NULL,
    checkpoint_id TEXT NOT NULL,
    part TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (campaign_id, checkpoint_id, part)
) STRICT;

CREATE TABLE blob (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32), -- sha256 of the uncompressed bytes
    codec TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size BETWEEN 0 AND 8388608), -- uncompressed; 8 MiB at most
    body BLOB NOT NULL
) STRICT;
