-- Where a user is. Who has no row in the queue is idle.

CREATE TYPE public.user_matching_state AS ENUM (
    'idle', 'spin_active', 'queue_waiting', 'paired', 'vote_active', 'video_date', 'ended', 'soft_offline', 'disconnected'
);
