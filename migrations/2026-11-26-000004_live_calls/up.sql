-- What another run of the daemon needs to go on with a call that is up: the SIP dialogs of both sides, and the address that
-- they know us by. `left_at`: when a daemon left the call to whoever follows.
ALTER TABLE open_attempts
    ADD COLUMN sip_address text,
    ADD COLUMN dialogs json,
    ADD COLUMN left_at timestamptz;
