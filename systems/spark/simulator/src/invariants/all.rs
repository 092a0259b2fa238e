//! The list. `{now}` is the moment of the look, and `{blur}` by how much the times of two transactions may be in another order than
//! their ends.

use super::{Invariant, Source, Tempo, client_errors, deadlocks, failed_runs, late_schedules};

/// Everything that must hold.
pub const INVARIANTS: &[Invariant] = &[
    Invariant {
        name: "one-pending-match",
        sentence: "Nobody is in two pending matches.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matches WHERE status = 'pending'",
            wrong: "SELECT u::text, 'in ' || count(*) || ' pending matches'
                      FROM public.matches m, unnest(ARRAY[m.user1_id, m.user2_id]) u
                     WHERE m.status = 'pending' GROUP BY u HAVING count(*) > 1",
        },
    },
    Invariant {
        name: "one-queue-entry",
        sentence: "Nobody has more than one entry in the queue.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue",
            wrong: "SELECT user_id::text, count(*) || ' entries' FROM public.matching_queue GROUP BY user_id HAVING count(*) > 1",
        },
    },
    Invariant {
        name: "participants-are-kept",
        sentence: "Both users of a pending match have a row in match_participants.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT 2 * count(*) FROM public.matches WHERE status = 'pending'",
            wrong: "SELECT m.id || ' ' || u, 'has no row in match_participants'
                      FROM public.matches m, unnest(ARRAY[m.user1_id, m.user2_id]) u
                     WHERE m.status = 'pending' AND NOT EXISTS (SELECT FROM public.match_participants p WHERE p.user_id = u)",
        },
    },
    Invariant {
        name: "participants-have-a-match",
        sentence: "Each row of match_participants is about a pending match of that user.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.match_participants",
            wrong: "SELECT p.user_id::text, 'is told to be in match ' || p.match_id
                      FROM public.match_participants p
                     WHERE NOT EXISTS (SELECT FROM public.matches m WHERE m.id = p.match_id AND m.status = 'pending'
                                          AND p.user_id IN (m.user1_id, m.user2_id))",
        },
    },
    Invariant {
        name: "matched-are-in-a-match-state",
        sentence: "Both users of a pending match are paired or vote_active, or away within their grace.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT 2 * count(*) FROM public.matches WHERE status = 'pending'",
            wrong: "SELECT m.id || ' ' || u, 'is ' || coalesce((SELECT min(q.status) FROM public.matching_queue q WHERE q.user_id = u), 'in no queue')
                      FROM public.matches m, unnest(ARRAY[m.user1_id, m.user2_id]) u
                     WHERE m.status = 'pending'
                       AND NOT EXISTS (SELECT FROM public.matching_queue q
                                        WHERE q.user_id = u AND q.status IN ('paired', 'vote_active', 'soft_offline'))",
        },
    },
    Invariant {
        name: "match-states-have-a-match",
        sentence: "Whoever is paired or vote_active is in a pending match, but for who lost it with the other's account.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue WHERE status IN ('paired', 'vote_active')",
            wrong: "SELECT q.user_id::text, 'is ' || q.status || ' without a match'
                      FROM public.matching_queue q
                     WHERE q.status IN ('paired', 'vote_active') AND q.user_id IN (SELECT id FROM public.profiles)
                       AND NOT EXISTS (SELECT FROM public.matches m WHERE m.status = 'pending' AND m.user1_id = q.user_id)
                       AND NOT EXISTS (SELECT FROM public.matches m WHERE m.status = 'pending' AND m.user2_id = q.user_id)
                       AND q.user_id NOT IN (SELECT user_id FROM {left_behind} b)",
        },
    },
    Invariant {
        name: "left-behind-spin-on",
        sentence: "Nobody is paired or vote_active with an account that is gone for three further runs of guardian-queue-consistency.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "guardian-queue-consistency",
            looked: "SELECT count(*) FROM simulator.parted WHERE is_left_behind",
            wrong: "SELECT b.user_id || ' ' || b.match_id, 'is ' || q.status || ', and the other''s account is gone'
                      FROM {left_behind} b JOIN public.matching_queue q ON q.user_id = b.user_id
                     WHERE q.status IN ('paired', 'vote_active')
                       AND NOT EXISTS (SELECT FROM public.matches m WHERE m.status = 'pending' AND b.user_id IN (m.user1_id, m.user2_id))",
        },
    },
    Invariant {
        name: "gone-leave-the-queue",
        sentence: "Nobody is in the queue whose account is gone for three further runs of guardian-queue-consistency.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "guardian-queue-consistency",
            looked: "SELECT count(*) FROM simulator.gone",
            wrong: "SELECT q.user_id::text, 'is ' || q.status || ', and their account is gone'
                      FROM public.matching_queue q WHERE NOT EXISTS (SELECT FROM public.profiles p WHERE p.id = q.user_id)",
        },
    },
    Invariant {
        name: "never-blocked",
        sentence: "No pair was matched of whom one had blocked the other.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {found} f",
            wrong: "SELECT f.match_id, f.a || ' and ' || f.b || ': ' || b.blocker_id || ' had blocked the other'
                      FROM {found} f JOIN public.blocked_users b
                        ON least(b.blocker_id, b.blocked_user_id) = f.a AND greatest(b.blocker_id, b.blocked_user_id) = f.b
                     WHERE b.created_at <= f.at",
        },
    },
    Invariant {
        name: "never-banned",
        sentence: "No pair was matched that had said yes to each other before.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {found} f",
            wrong: "SELECT f.match_id, f.a || ' and ' || f.b || ' had said yes in match ' || coalesce(y.match_id::text, 'NULL')
                      FROM {found} f JOIN public.yes_yes_pairs y
                        ON least(y.user1_id, y.user2_id) = f.a AND greatest(y.user1_id, y.user2_id) = f.b
                     WHERE y.match_id::text IS DISTINCT FROM f.match_id AND y.created_at <= f.at",
        },
    },
    Invariant {
        name: "never-cooling",
        sentence: "No pair was matched that has a row of match_history of the 5 minutes before.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {found} f",
            wrong: "SELECT f.match_id, f.a || ' and ' || f.b || ' had met ' || f.at - h.created_at || ' before'
                      FROM {found} f JOIN public.match_history h
                        ON least(h.user1_id, h.user2_id) = f.a AND greatest(h.user1_id, h.user2_id) = f.b
                     WHERE h.match_id::text IS DISTINCT FROM f.match_id
                       AND h.created_at <= f.at AND h.created_at > f.at - interval '5 minutes'",
        },
    },
    Invariant {
        name: "a-man-and-a-woman",
        sentence: "Every pair that was matched is exactly one man and one woman.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {found} f",
            wrong: "SELECT f.match_id, coalesce(a.gender, 'NULL') || ' with ' || coalesce(b.gender, 'NULL')
                      FROM {found} f LEFT JOIN {people} a ON a.id = f.a LEFT JOIN {people} b ON b.id = f.b
                     WHERE coalesce(a.gender, '') || ' ' || coalesce(b.gender, '') NOT IN ('male female', 'female male')",
        },
    },
    Invariant {
        name: "users-in-order",
        sentence: "The lower id of a match stands first, and nobody is matched with themselves.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matches",
            wrong: "SELECT id::text, user1_id || ' before ' || user2_id FROM public.matches WHERE user1_id >= user2_id",
        },
    },
    Invariant {
        name: "steps-are-lawful",
        sentence: "Every logged step of a state is one of the table of events.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {transitions} t",
            wrong: "SELECT t.user_id || ' ' || t.at, coalesce(t.event, 'NULL') || ' from ' || coalesce(t.from_state, 'NULL')
                           || ' to ' || coalesce(t.to_state, 'NULL')
                      FROM {transitions} t
                     WHERE NOT EXISTS (SELECT FROM (VALUES
                         ('spin_start', '{idle,ended,disconnected,soft_offline,queue_waiting,paired,vote_active}'::text[], '{spin_active}'::text[]),
                         ('queue_joined', '{spin_active}', '{queue_waiting}'),
                         ('match_found', '{queue_waiting,spin_active}', '{paired}'),
                         ('reveal_complete', '{paired}', '{vote_active}'),
                         ('both_voted_yes', '{vote_active}', '{video_date}'),
                         ('one_voted_pass', '{vote_active}', '{spin_active}'),
                         ('partner_idle', '{vote_active}', '{spin_active}'),
                         ('session_ended', '{video_date}', '{ended}'),
                         ('user_disconnected', '{idle,spin_active,queue_waiting,paired,vote_active,video_date,ended,soft_offline,disconnected}', '{soft_offline}'),
                         ('user_reconnected', '{soft_offline,disconnected}', '{queue_waiting,spin_active,vote_active,paired}'),
                         ('grace_period_expired', '{soft_offline}', '{disconnected}'),
                         ('spin_timeout', '{spin_active}', '{queue_waiting}'),
                         ('reveal_timeout', '{paired}', '{spin_active}'),
                         ('partner_reveal_timeout', '{paired}', '{spin_active}'),
                         ('partner_disconnected', '{paired,vote_active}', '{spin_active}')) law (event, from_states, to_states)
                       WHERE law.event = t.event AND t.from_state = ANY (law.from_states) AND t.to_state = ANY (law.to_states))",
        },
    },
    Invariant {
        name: "steps-are-a-chain",
        sentence: "Each user's logged steps are a chain that begins in idle: each begins where the one before it ended.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {edges} e",
            wrong: "WITH RECURSIVE step AS MATERIALIZED (SELECT DISTINCT user_id, from_state, to_state FROM {edges} e),
                           reached (user_id, state) AS (SELECT DISTINCT user_id, 'idle' FROM step
                               UNION SELECT s.user_id, s.to_state FROM reached r JOIN step s ON s.user_id = r.user_id AND s.from_state = r.state)
                    SELECT user_id::text, ends || ' states are entered and left another number of times' FROM {trails} t WHERE ends <> 1 OR most <> 1
                    UNION ALL
                    SELECT s.user_id || ' ' || s.from_state, 'is left and was never reached' FROM step s
                     WHERE NOT EXISTS (SELECT FROM reached r WHERE r.user_id = s.user_id AND r.state = s.from_state)",
        },
    },
    Invariant {
        name: "nobody-is-lost",
        sentence: "Whoever joined is in the queue in the state their log ends with, or left by a logged reason.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {trails} t",
            wrong: "SELECT t.user_id::text, 'their log ends with ' || t.last || ', and they are '
                           || coalesce((SELECT min(q.status) FROM public.matching_queue q WHERE q.user_id = t.user_id), 'in no queue')
                      FROM {trails} t
                     WHERE t.ends = 1 AND t.most = 1
                       AND t.last <> coalesce((SELECT min(q.status) FROM public.matching_queue q WHERE q.user_id = t.user_id), 'idle')
                       AND t.user_id NOT IN (SELECT g.user_id FROM simulator.gone g)
                    UNION ALL
                    SELECT q.user_id::text, 'is in the queue and never joined' FROM public.matching_queue q
                     WHERE NOT EXISTS (SELECT FROM {edges} e WHERE e.user_id = q.user_id)",
        },
    },
    Invariant {
        name: "boosts-are-ten",
        sentence: "Every fairness boost is exactly +10.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {log} l WHERE event_type = 'fairness_boost_applied'",
            wrong: "SELECT id::text, coalesce(event_data ->> 'boost_amount', 'NULL') || ' for ' || coalesce(event_data ->> 'reason', 'NULL')
                      FROM {log} l
                     WHERE event_type = 'fairness_boost_applied' AND (event_data ->> 'boost_amount')::numeric IS DISTINCT FROM 10",
        },
    },
    Invariant {
        name: "boosts-are-given",
        sentence: "Whoever said yes to a pass, or was left by a partner who went, was lost, or let a time pass, has a boost of 10 for it: also who was away for a moment.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {due} d",
            wrong: "SELECT d.user_id || ' ' || d.match_id, 'no boost at ' || d.at || ': ' || d.why
                      FROM {due} d
                     WHERE NOT EXISTS (SELECT FROM {log} l
                                        WHERE l.event_type = 'fairness_boost_applied' AND l.user_id = d.user_id AND l.\"timestamp\" = d.at
                                          AND l.event_data ->> 'reason' IS DISTINCT FROM 'gender_balancing')",
        },
    },
    Invariant {
        name: "scores-follow",
        sentence: "Fairness follows from waiting, skips, breadth and boosts; only how many others were there when it was computed is not known.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue",
            wrong: "SELECT q.user_id::text, 'fairness ' || q.fairness_score || ', of it boosts ' || q.fairness_boost || ', instead of '
                           || round(s.least + q.fairness_boost, 2) || ' to ' || round(s.most + q.fairness_boost, 2)
                      FROM public.matching_queue q JOIN public.profiles p ON p.id = q.user_id
                      LEFT JOIN public.user_preferences f ON f.user_id = q.user_id
                     CROSS JOIN LATERAL (SELECT coalesce(CASE WHEN f.expanded THEN f.original_max_age - f.original_min_age ELSE f.max_age - f.min_age END, 12) / 50.0 AS ages,
                                                coalesce(CASE WHEN f.expanded THEN f.original_max_distance ELSE f.max_distance END, 50) / 200.0 AS miles) b
                     CROSS JOIN LATERAL (SELECT (1 - (b.ages + b.miles) / 2) * 100 + least(q.skip_count * 50, 300) - 0.01 AS least) l
                     CROSS JOIN LATERAL (SELECT l.least, l.least + 100.02 + least(extract(epoch FROM {now} + {blur} - q.created_at) / 10, 500)::numeric AS most) s
                     WHERE q.status <> 'vote_active' AND q.fairness_score - q.fairness_boost <> 0
                       AND q.fairness_score - q.fairness_boost NOT BETWEEN s.least AND s.most",
        },
    },
    Invariant {
        name: "skips-are-counted",
        sentence: "Whoever was told since they last came to vote that nobody is there was passed over at least as often.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue",
            wrong: "SELECT q.user_id::text, 'passed over ' || q.skip_count || ' times, and told so ' || n.told || ' times'
                      FROM public.matching_queue q
                      JOIN (SELECT l.user_id, count(*) AS told
                              FROM {log} l LEFT JOIN {resets} r ON r.user_id = l.user_id
                             WHERE l.event_type = 'no_online_candidates' AND l.\"timestamp\" > coalesce(r.at, '-infinity') + {blur}
                             GROUP BY l.user_id) n ON n.user_id = q.user_id
                     WHERE q.skip_count < n.told",
        },
    },
    Invariant {
        name: "waits-begin-with-the-spin",
        sentence: "The wait of an entry began with a logged step that begins one: a spin, a return to the queue, or the entry itself; and no spin came after it.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue",
            wrong: "SELECT q.user_id::text, 'since ' || q.joined_at || ', and spins since ' || coalesce(b.spun::text, 'never')
                      FROM public.matching_queue q
                      JOIN (SELECT user_id, max(at) FILTER (WHERE to_state = 'spin_active') AS spun, array_agg(at) AS begun
                              FROM {transitions} t
                             WHERE to_state = 'spin_active' OR from_state = 'idle' OR event = 'user_reconnected' AND to_state = 'queue_waiting'
                             GROUP BY user_id) b ON b.user_id = q.user_id
                     WHERE q.joined_at <> ALL (b.begun) OR b.spun > q.joined_at + {blur}",
        },
    },
    Invariant {
        name: "boosts-add-up",
        sentence: "The boost in an entry is the sum of those logged since it began, or since the user last came to vote.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue",
            wrong: "SELECT q.user_id::text, q.fairness_boost || ' instead of ' || b.least || CASE WHEN b.most > b.least THEN ' to ' || b.most ELSE '' END
                      FROM public.matching_queue q
                      LEFT JOIN {resets} reset ON reset.user_id = q.user_id,
                           LATERAL (SELECT coalesce(sum((l.event_data ->> 'boost_amount')::numeric) FILTER (WHERE l.\"timestamp\" > coalesce(reset.at, '-infinity') + {blur}), 0) AS least,
                                           coalesce(sum((l.event_data ->> 'boost_amount')::numeric), 0) AS most
                                      FROM {log} l
                                     WHERE l.event_type = 'fairness_boost_applied' AND l.user_id = q.user_id
                                       AND l.\"timestamp\" > coalesce(reset.at, '-infinity') - {blur}) b
                     WHERE q.fairness_boost NOT BETWEEN b.least AND b.most OR (b.most - q.fairness_boost) % 10 <> 0",
        },
    },
    Invariant {
        name: "voters-begin-at-zero",
        sentence: "Whoever is vote_active has no fairness, no boost and no skips.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matching_queue WHERE status = 'vote_active'",
            wrong: "SELECT user_id::text, 'fairness ' || fairness_score || ', boost ' || fairness_boost || ', skips ' || skip_count
                      FROM public.matching_queue
                     WHERE status = 'vote_active' AND (fairness_score <> 0 OR fairness_boost <> 0 OR skip_count <> 0)",
        },
    },
    Invariant {
        name: "yes-yes-once",
        sentence: "Every match of two who said yes has exactly one ban, and every ban has its match.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matches WHERE status <> 'pending'",
            wrong: "SELECT m.id::text, 'bans: ' || n.bans
                      FROM public.matches m,
                           LATERAL (SELECT count(*) AS bans FROM public.yes_yes_pairs y WHERE y.match_id = m.id
                                       AND least(y.user1_id, y.user2_id) = least(m.user1_id, m.user2_id)
                                       AND greatest(y.user1_id, y.user2_id) = greatest(m.user1_id, m.user2_id)) n
                     WHERE m.status <> 'pending' AND n.bans <> 1
                    UNION ALL
                    SELECT y.id::text, 'a ban without a match of two who said yes' FROM public.yes_yes_pairs y
                     WHERE NOT EXISTS (SELECT FROM public.matches m WHERE m.id = y.match_id AND m.status <> 'pending')",
        },
    },
    Invariant {
        name: "history-is-kept",
        sentence: "Every match that ended with a pass, with yes of both or because one left has exactly one row of history, while both accounts are there.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {met_and_ended} e",
            wrong: "SELECT e.match_id, e.how || ': history ' || h.n
                      FROM (SELECT match_id, min(how) AS how FROM {met_and_ended} e GROUP BY match_id) e JOIN {found} f ON f.match_id = e.match_id
                     CROSS JOIN LATERAL (SELECT count(*) AS n FROM public.match_history h WHERE h.match_id::text = f.match_id
                                            AND h.user1_id IN (f.a, f.b) AND h.user2_id IN (f.a, f.b)) h
                     WHERE h.n <> 1 AND NOT EXISTS (SELECT FROM simulator.gone g WHERE g.user_id IN (f.a, f.b))",
        },
    },
    Invariant {
        name: "tiers-fit",
        sentence: "The two of a match of tier 1 were what the other wanted and had not met before; of tier 2, what the other's expanded wishes were.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {tiers} t",
            wrong: "SELECT t.match_id, 'tier ' || t.tier || ': ' || t.age_a || ' for ' || t.min_b || ' to ' || t.max_b || ', ' || t.age_b || ' for '
                           || t.min_a || ' to ' || t.max_a || ', ' || coalesce(round(t.miles::numeric, 1)::text, 'unknown') || ' miles for ' || t.most
                           || CASE WHEN t.tier = '1' AND t.had_met THEN ', and they had met' ELSE '' END
                      FROM {tiers} t
                     WHERE t.age_a NOT BETWEEN t.min_b AND t.max_b OR t.age_b NOT BETWEEN t.min_a AND t.max_a
                        OR t.miles > t.most + 0.001 OR t.tier = '1' AND t.had_met",
        },
    },
    Invariant {
        name: "one-outcome",
        sentence: "No match has two outcomes: both said yes, one passed, one left, or a time was over.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {found} f",
            wrong: "SELECT o.match_id, o.yes || ' of both yes, ' || o.pass || ' of a pass, ' || o.broken || ' broken, ' || o.late || ' timed out'
                      FROM (SELECT match_id, count(*) FILTER (WHERE what = 'both_voted_yes') AS yes, count(*) FILTER (WHERE what = 'one_voted_pass') AS pass,
                                   count(*) FILTER (WHERE what = 'broken') AS broken, count(*) FILTER (WHERE what = 'late') AS late
                              FROM (SELECT match_id, event AS what FROM {transitions} t WHERE event IN ('both_voted_yes', 'one_voted_pass')
                                    UNION ALL
                                    SELECT event_data ->> 'match_id',
                                           CASE WHEN event_type <> 'match_broken' THEN 'late'
                                                WHEN event_data ->> 'event' = 'one_voted_pass' THEN 'one_voted_pass' ELSE 'broken' END
                                      FROM {log} l WHERE event_type IN ('match_broken', 'reveal_timeout', 'vote_timeout')) e
                             GROUP BY match_id) o
                     WHERE o.yes NOT IN (0, 2) OR o.broken > 1 OR o.late > 1
                        OR (o.yes > 0)::int + (o.pass > 0)::int + (o.broken + o.late > 0)::int > 1",
        },
    },
    Invariant {
        name: "votes-are-of-participants",
        sentence: "Only the two of a match have voted in it.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT (SELECT count(*) FROM public.votes) + (SELECT count(*) FROM {log} l WHERE event_type = 'vote_submitted')",
            wrong: "SELECT v.match_id || ' ' || v.user_id, 'has voted ' || v.vote_type
                      FROM public.votes v LEFT JOIN public.matches m ON m.id = v.match_id
                     WHERE m.id IS NULL OR v.user_id NOT IN (m.user1_id, m.user2_id)
                    UNION ALL
                    SELECT l.id::text, coalesce(l.user_id::text, 'somebody') || ' has voted in match ' || coalesce(l.event_data ->> 'match_id', 'NULL')
                      FROM {log} l LEFT JOIN {found} f ON f.match_id = l.event_data ->> 'match_id'
                     WHERE l.event_type = 'vote_submitted' AND (f.match_id IS NULL OR l.user_id NOT IN (f.a, f.b))",
        },
    },
    Invariant {
        name: "votes-are-settled",
        sentence: "No pending match has a vote of pass, or two of yes while both users are there.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matches WHERE status = 'pending' AND metadata ? 'voting_started_at'",
            wrong: "SELECT m.id::text, v.pass || ' passes, ' || v.yes || ' yes'
                      FROM public.matches m,
                           LATERAL (SELECT count(*) FILTER (WHERE vote_type = 'pass') AS pass, count(*) FILTER (WHERE vote_type = 'yes') AS yes
                                      FROM public.votes WHERE match_id = m.id AND user_id IN (m.user1_id, m.user2_id)) v
                     WHERE m.status = 'pending'
                       AND (v.pass > 0 OR v.yes > 1 AND 2 = (SELECT count(*) FROM public.matching_queue q
                                                              WHERE q.user_id IN (m.user1_id, m.user2_id) AND q.status = 'vote_active'))",
        },
    },
    Invariant {
        name: "reveals-are-of-participants",
        sentence: "Whoever has revealed in a match is one of its two, and is written down once.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.matches WHERE metadata ? 'revealed_users'",
            wrong: "SELECT m.id || ' ' || u, 'is written down ' || count(*) || ' times'
                      FROM public.matches m, jsonb_array_elements_text(m.metadata -> 'revealed_users') u
                     GROUP BY m.id, m.user1_id, m.user2_id, u
                    HAVING count(*) > 1 OR u NOT IN (m.user1_id::text, m.user2_id::text)",
        },
    },
    Invariant {
        name: "spins-end",
        sentence: "Nobody is spin_active for 60 s and three further ticks.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "matching-orchestrator",
            looked: "SELECT count(*) FROM public.matching_queue WHERE status = 'spin_active'",
            wrong: "SELECT user_id || ' ' || coalesce(last_spun_at, joined_at), 'has spun since ' || coalesce(last_spun_at, joined_at) FROM public.matching_queue
                     WHERE status = 'spin_active' AND coalesce(last_spun_at, joined_at) + interval '60 seconds' <= {now}
                       AND user_id IN (SELECT id FROM public.profiles)",
        },
    },
    Invariant {
        name: "reveals-end",
        sentence: "No pair is without a reveal of both for 15 s and three further runs of check-reveal-timeouts.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "check-reveal-timeouts",
            looked: "SELECT count(*) FROM public.matches WHERE status = 'pending' AND NOT metadata ? 'voting_started_at'",
            wrong: "SELECT id::text, 'matched at ' || matched_at FROM public.matches
                     WHERE status = 'pending' AND NOT metadata ? 'voting_started_at'
                       AND matched_at + interval '15 seconds' <= {now}",
        },
    },
    Invariant {
        name: "votes-end",
        sentence: "No pair is without both votes for 30 s and three further runs of check-vote-timeouts.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "check-vote-timeouts",
            looked: "SELECT count(*) FROM public.matches WHERE status = 'pending' AND metadata ? 'voting_started_at'",
            wrong: "SELECT id::text, 'votes since ' || (metadata ->> 'voting_started_at') FROM public.matches m
                     WHERE status = 'pending' AND 2 > (SELECT count(*) FROM public.votes v WHERE v.match_id = m.id)
                       AND (metadata ->> 'voting_started_at')::timestamptz + interval '30 seconds' <= {now}",
        },
    },
    Invariant {
        name: "graces-end",
        sentence: "Nobody is soft_offline for 10 s and three further runs of cleanup-soft-offline.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "cleanup-soft-offline",
            looked: "SELECT count(*) FROM public.matching_queue WHERE status = 'soft_offline'",
            wrong: "SELECT user_id || ' ' || coalesce(disconnected_at, '-infinity'), 'away since ' || coalesce(disconnected_at::text, 'nobody knows when') FROM public.matching_queue
                     WHERE status = 'soft_offline' AND user_id IN (SELECT id FROM public.profiles)
                       AND coalesce(disconnected_at, '-infinity') + interval '10 seconds' <= {now}",
        },
    },
    Invariant {
        name: "absences-end",
        sentence: "Nobody is disconnected for 5 minutes and three further runs of cleanup-soft-offline.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "cleanup-soft-offline",
            looked: "SELECT count(*) FROM public.matching_queue WHERE status = 'disconnected'",
            wrong: "SELECT user_id || ' ' || coalesce(disconnected_at, '-infinity'), 'disconnected since ' || coalesce(disconnected_at::text, 'nobody knows when') FROM public.matching_queue
                     WHERE status = 'disconnected' AND user_id IN (SELECT id FROM public.profiles)
                       AND coalesce(disconnected_at, '-infinity') + interval '5 minutes' <= {now}",
        },
    },
    Invariant {
        name: "expansions-are-of-who-waits",
        sentence: "Preferences are expanded only for who waits, to level 2 at most, and for a time that is known.",
        tempo: Tempo::Always,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.user_preferences WHERE expanded",
            wrong: "SELECT f.user_id::text, 'expanded until ' || coalesce(f.expanded_until::text, 'NULL') || ', '
                           || coalesce(q.status || ' at level ' || q.expansion_level, 'in no queue')
                      FROM public.user_preferences f LEFT JOIN public.matching_queue q ON q.user_id = f.user_id
                     WHERE f.expanded
                       AND (q.user_id IS NULL OR q.status NOT IN ('spin_active', 'queue_waiting', 'soft_offline') OR q.expansion_level NOT IN (1, 2)
                            OR f.expanded_until IS NULL)",
        },
    },
    Invariant {
        name: "expansions-end",
        sentence: "Nobody who waits has preferences that have been expanded for 5 minutes and three further ticks.",
        tempo: Tempo::Always,
        source: Source::Late {
            job: "matching-orchestrator",
            looked: "SELECT count(*) FROM public.user_preferences WHERE expanded",
            wrong: "SELECT f.user_id || ' ' || f.expanded_until, 'expanded until ' || f.expanded_until
                      FROM public.user_preferences f JOIN public.matching_queue q ON q.user_id = f.user_id
                     WHERE f.expanded AND q.status IN ('spin_active', 'queue_waiting') AND f.expanded_until <= {now}",
        },
    },
    Invariant {
        name: "metrics-add-up",
        sentence: "Each row of queue_metrics is consistent: its parts add up, and ratio and imbalance follow from them.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM public.queue_metrics",
            wrong: "SELECT id::text, 'of ' || recorded_at FROM public.queue_metrics
                     WHERE male_count + female_count + other_count <> total_users
                        OR spin_active_count + queue_waiting_count + paired_count + vote_active_count <> total_users
                        OR tier1_count + tier2_count + tier3_count <> spin_active_count + queue_waiting_count
                        OR supply_demand_ratio IS DISTINCT FROM
                           round(CASE WHEN male_count + female_count = 0 THEN 1 ELSE male_count::numeric / greatest(female_count, 1) END, 4)
                        OR gender_imbalance_score IS DISTINCT FROM
                           round(coalesce(abs(male_count - female_count)::numeric / nullif(male_count + female_count, 0), 0), 4)
                        OR coalesce(avg_fairness_score, -1) < 0 OR coalesce(avg_wait_time_seconds, -1) < 0
                        OR recorded_at > {now} + {blur}",
        },
    },
    Invariant {
        name: "guardian-removes-nothing-healthy",
        sentence: "The guardian removes nobody but who was away for longer than the limits, or has no account any more.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {log} l WHERE event_type = 'queue_removed'",
            wrong: "SELECT l.id::text, coalesce(l.user_id::text, 'somebody') || ' from ' || (l.event_data ->> 'from_state') || ': ' || (l.event_data ->> 'reason')
                      FROM {log} l
                     WHERE l.event_type = 'queue_removed' AND l.event_data ->> 'reason' LIKE 'guardian:%'
                       AND NOT coalesce(l.event_data ->> 'reason' = 'guardian: away_too_long'
                           AND l.\"timestamp\" >= (SELECT max(t.at) FROM {transitions} t
                                                   WHERE t.user_id = l.user_id AND t.at <= l.\"timestamp\" AND t.to_state = l.event_data ->> 'from_state')
                               + CASE l.event_data ->> 'from_state' WHEN 'soft_offline' THEN interval '25 seconds'
                                                                    WHEN 'disconnected' THEN interval '5 minutes 15 seconds' END, false)
                       AND NOT (l.event_data ->> 'reason' = 'guardian: no_profile' AND l.user_id IN (SELECT g.user_id FROM simulator.gone g))",
        },
    },
    Invariant {
        name: "no-logged-errors",
        sentence: "Nothing is logged as ERROR or CRITICAL but a search for anybody that was given up after 30 cycles, and one that met the end of an account.",
        tempo: Tempo::Sometimes,
        source: Source::Sql {
            looked: "SELECT count(*) FROM {log} l",
            wrong: "SELECT id::text, event_type || ': ' || event_data FROM {log} l
                     WHERE severity IN ('ERROR', 'CRITICAL') AND event_type <> 'guaranteed_match_failed'
                       AND NOT (event_type IN ('matching_failed', 'create_match_failed') AND event_data ->> 'sqlstate' IN ('23503', 'SP003')
                                AND EXISTS (SELECT FROM simulator.gone g WHERE g.at BETWEEN l.\"timestamp\" - {blur} AND l.\"timestamp\" + {blur}))",
        },
    },
    Invariant {
        name: "no-unexpected-errors",
        sentence: "No call of a client fails but where somebody else was quicker.",
        tempo: Tempo::Always,
        source: Source::Calls(client_errors),
    },
    Invariant {
        name: "no-deadlocks",
        sentence: "No call of a client ends in a deadlock.",
        tempo: Tempo::Always,
        source: Source::Calls(deadlocks),
    },
    Invariant {
        name: "schedules-succeed",
        sentence: "No run of a schedule fails.",
        tempo: Tempo::Always,
        source: Source::Runs(failed_runs),
    },
    Invariant {
        name: "schedules-are-on-time",
        sentence: "Each schedule succeeds within three of its intervals, and at least within 30 s; faster than real time 5 real seconds later.",
        tempo: Tempo::Always,
        source: Source::Runs(late_schedules),
    },
];
