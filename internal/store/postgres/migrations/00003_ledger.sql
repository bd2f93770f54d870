-- +goose Up
CREATE TABLE ledger (
    seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    authority   text COLLATE "C" NOT NULL,
    serial      text COLLATE "C" NOT NULL,
    issuer      text NOT NULL,
    subject     text NOT NULL,
    profile     text NOT NULL,
    issued_at   timestamptz,                -- null: no issue is on record
    not_after   timestamptz,
    key         bytea CHECK (length(key) = 32),
    certificate bytea,
    revoked_at  timestamptz,                -- null: it is not
    reason      text NOT NULL DEFAULT '',
    revocation  bigint,                     -- the order of them
    UNIQUE (authority, serial)
);
CREATE UNIQUE INDEX ledger_by_revocation ON ledger (authority, revocation) WHERE revocation IS NOT NULL;
CREATE SEQUENCE ledger_revocations;

-- A key has one holder.
CREATE TABLE ledger_keys (
    authority   text COLLATE "C" NOT NULL,
    key         bytea NOT NULL CHECK (length(key) = 32),
    subject     text NOT NULL,
    names       bytea NOT NULL,
    compromised boolean NOT NULL DEFAULT false,
    PRIMARY KEY (authority, key)
);

-- The latest revocation list: its number never goes back.
CREATE TABLE ledger_lists (
    authority   text COLLATE "C" PRIMARY KEY,
    number      bigint NOT NULL,
    at          timestamptz NOT NULL,
    next_update timestamptz
);

CREATE TRIGGER ledger_is_not_shortened BEFORE DELETE OR TRUNCATE ON ledger
    EXECUTE FUNCTION stays('what was issued stays on record');
-- +goose StatementBegin
CREATE FUNCTION revoked_for_good() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF old.revoked_at IS NOT NULL OR new.revoked_at IS NULL OR new.authority <> old.authority OR new.serial <> old.serial THEN
        RAISE EXCEPTION 'a revocation is for good' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN new;
END $$;
-- +goose StatementEnd
CREATE TRIGGER ledger_revocations_are_for_good BEFORE UPDATE ON ledger
    FOR EACH ROW EXECUTE FUNCTION revoked_for_good();
