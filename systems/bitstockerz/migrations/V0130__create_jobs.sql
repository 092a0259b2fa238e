-- Sprint 1.3. Source: ddl/06_infra.sql.
-- Creates: table jobs with its indexes idx_jobs_user_created, idx_jobs_type_status.

-- Work done in the background. Import checkpoints live in payload_json.
CREATE TABLE jobs (
    id uuid NOT NULL,
    job_type varchar(32) NOT NULL,
    user_id uuid NOT NULL,
    payload_json jsonb NOT NULL DEFAULT '{}',
    status varchar(16) NOT NULL,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT pk_jobs PRIMARY KEY (id),
    CONSTRAINT ck_jobs_status CHECK (status IN ('pending', 'running', 'completed', 'failed', 'timed_out')),
    CONSTRAINT fk_jobs_user FOREIGN KEY (user_id)
        REFERENCES users (id) ON UPDATE CASCADE ON DELETE RESTRICT
);
CREATE INDEX idx_jobs_user_created ON jobs (user_id, created_at);
CREATE INDEX idx_jobs_type_status ON jobs (job_type, status);
