//! One user as their device sees things: what to ask next, and what an answer means for them. Pure: neither database nor clock.

use crate::people::Person;
use crate::plan::{Decision, Millis, OCCASIONS, Occasion, Vote, decide};

/// How often a device says that its user is there.
const BEAT: Millis = 5_000;
/// How often it looks where its user is.
const LOOK: Millis = 1_000;
/// How long it leaves alone what was refused.
const REST: Millis = 2_000;

/// A question to the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `queue_join`.
    Join,
    /// `heartbeat_update`.
    Heartbeat,
    /// `handle_user_offline`: the server of the connection has noticed that it is gone.
    Offline,
    /// Where am I?
    Look,
    /// `complete_reveal`, in this match.
    Reveal(String),
    /// `submit_vote`.
    Vote(String, Vote),
    /// `session_ended`.
    End,
    /// `queue_remove`.
    Leave,
    /// The account goes, and whatever hangs on it.
    Delete,
    /// Another one is made.
    Register,
    /// `spin_start`.
    Spin,
}

/// Kinds of calls, as reports name them, each with the errors that are in order: somebody else was quicker, and the match, or the
/// state, is not the one any more that the device saw.
pub const KINDS: [(&str, &[&str]); 11] = [
    // Who joins leaves the vote they are in by that; and their partner says yes at that moment.
    ("join", &["SP001"]),
    ("heartbeat", &[]),
    ("offline", &[]),
    ("look", &[]),
    ("reveal", &["SP004", "SP005"]),
    ("vote", &["SP004", "SP005"]),
    ("end date", &["SP001"]),
    ("leave", &[]),
    ("delete", &[]),
    ("register", &[]),
    ("spin", &["SP001"]),
];

impl Call {
    /// Its place in [`KINDS`].
    pub fn kind(&self) -> usize {
        match self {
            Self::Join => 0,
            Self::Heartbeat => 1,
            Self::Offline => 2,
            Self::Look => 3,
            Self::Reveal(_) => 4,
            Self::Vote(..) => 5,
            Self::End => 6,
            Self::Leave => 7,
            Self::Delete => 8,
            Self::Register => 9,
            Self::Spin => 10,
        }
    }

    /// As SQL. Ids are the simulator's own, and matches are the server's.
    pub fn sql(&self, person: &Person) -> String {
        let id = &person.id;
        match self {
            Self::Join => format!("SELECT public.queue_join('{id}', '{}')", person.wishes()),
            Self::Heartbeat => format!("SELECT public.heartbeat_update('{id}')"),
            Self::Offline => format!("SELECT public.handle_user_offline('{id}')"),
            Self::Look => format!(
                "SELECT q.status, p.match_id FROM (SELECT uuid '{id}' AS id) me \
                 LEFT JOIN public.matching_queue q ON q.user_id = me.id \
                 LEFT JOIN public.match_participants p ON p.user_id = me.id"
            ),
            Self::Reveal(of) => format!("SELECT public.complete_reveal('{id}', '{of}')"),
            Self::Vote(of, vote) => format!("SELECT public.submit_vote('{id}', '{of}', '{}')", vote.name()),
            Self::End => format!("SELECT public.state_machine_transition('{id}', 'session_ended')"),
            Self::Leave => format!("SELECT public.queue_remove('{id}', 'left')"),
            Self::Delete => format!("DELETE FROM public.profiles WHERE id = '{id}'"),
            Self::Register => person.statement(),
            Self::Spin => format!("SELECT public.state_machine_transition('{id}', 'spin_start')"),
        }
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// State and match: neither for who is not in the queue.
    Seen(Option<String>, Option<String>),
    /// It was refused, or nothing was heard.
    Refused,
}

/// What a user does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// They ask.
    Ask(Call),
    /// Nothing before that.
    Wait(Millis),
    /// They are gone.
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Without an account; makes one then.
    Without(Option<Millis>),
    /// Not in the queue; joins then.
    Outside(Option<Millis>),
    Here,
    /// Their connection is gone, and is there again then.
    Away(Option<Millis>),
}

/// A decision that was taken: at which occasion, the how manyeth of its kind, and what.
pub type Taken = (Occasion, u32, Decision);

/// A user.
#[derive(Debug)]
pub struct Agent {
    /// Who they are.
    pub person: Person,
    /// What they have decided so far, in order.
    pub taken: Vec<Taken>,
    seed: u64,
    /// How many in a hundred decisions are to delete the account.
    deleting: u32,
    /// How many accounts they have had before this one.
    accounts: u32,
    phase: Phase,
    /// State and match they saw last; none before they have looked.
    seen: Option<(String, Option<String>)>,
    /// What they will do, and when.
    act: Option<(Millis, Decision)>,
    /// What they will do when that is done.
    then: Option<Decision>,
    beat: Millis,
    look: Millis,
    times: [u32; OCCASIONS.len()],
}

impl Agent {
    /// Somebody who has not come yet.
    pub fn new(seed: u64, deleting: u32, person: Person) -> Self {
        let mut agent = Self {
            person,
            taken: Vec::new(),
            seed,
            deleting,
            accounts: 0,
            phase: Phase::Outside(None),
            seen: None,
            act: None,
            then: None,
            beat: 0,
            look: 0,
            times: [0; OCCASIONS.len()],
        };
        agent.decide_outside(Occasion::Arrive, 0);
        agent
    }

    /// What they do now.
    pub fn next(&self, now: Millis) -> Next {
        match &self.phase {
            Phase::Without(None) | Phase::Outside(None) | Phase::Away(None) => Next::Never,
            Phase::Without(Some(at)) if *at <= now => Next::Ask(Call::Register),
            Phase::Outside(Some(at)) if *at <= now && matches!(self.act, Some((_, Decision::Delete(_)))) => {
                Next::Ask(Call::Delete)
            }
            Phase::Outside(Some(at)) if *at <= now => Next::Ask(Call::Join),
            Phase::Away(Some(at)) if *at <= now => Next::Ask(Call::Heartbeat),
            Phase::Without(Some(at)) | Phase::Outside(Some(at)) | Phase::Away(Some(at)) => Next::Wait(*at),
            Phase::Here => self.next_here(now),
        }
    }

    fn next_here(&self, now: Millis) -> Next {
        if let Some((at, decision)) = &self.act
            && *at <= now
        {
            return Next::Ask(self.call(decision));
        }
        if self.beat <= now {
            return Next::Ask(Call::Heartbeat);
        }
        if self.look <= now {
            return Next::Ask(Call::Look);
        }
        let act = self.act.as_ref().map_or(Millis::MAX, |(at, _)| *at);
        Next::Wait(act.min(self.beat).min(self.look))
    }

    fn call(&self, decision: &Decision) -> Call {
        let of = self.seen.as_ref().and_then(|(_, of)| of.clone()).unwrap_or_default();
        match decision {
            Decision::Join(_) => Call::Join,
            Decision::Spin(_) => Call::Spin,
            Decision::Reveal(_) => Call::Reveal(of),
            Decision::Vote(_, vote) => Call::Vote(of, *vote),
            Decision::End(_) => Call::End,
            Decision::Leave(_) => Call::Leave,
            Decision::Delete(_) => Call::Delete,
            Decision::Drop { told: true, .. } => Call::Offline,
            // Those that ask nothing are dealt with when they are due.
            Decision::Drop { told: false, .. }
            | Decision::Nothing
            | Decision::Gone
            | Decision::Anew(_)
            | Decision::Then(..) => Call::Look,
        }
    }

    /// What an answer means. `now` is when it was heard.
    pub fn heard(&mut self, call: &Call, answer: Answer, now: Millis) {
        match (call, answer) {
            (Call::Look, Answer::Seen(state, of)) => {
                self.look = now + LOOK;
                if matches!(self.act, Some((at, Decision::Drop { told: false, .. })) if at <= now) {
                    return self.drop_out(now);
                }
                self.sees(state, of, now);
            }
            (Call::Join | Call::Spin, Answer::Done) => {
                (self.phase, self.act, self.seen) = (Phase::Here, None, None);
                (self.beat, self.look) = (now + BEAT, now + LOOK);
            }
            (Call::Heartbeat, Answer::Done) => self.beaten(now),
            (Call::Offline, Answer::Done) => self.drop_out(now),
            (Call::Leave, Answer::Done) => self.goes_out(now),
            (Call::Delete, Answer::Done) => {
                (self.seen, self.act, self.then) = (None, None, None);
                self.accounts += 1;
                self.person = self.person.anew(self.seed, self.accounts);
                self.decide_outside(Occasion::Deleted, now);
            }
            (Call::Register, Answer::Done) => self.phase = Phase::Outside(Some(now)),
            (_, Answer::Done) => {
                (self.act, self.look) = (None, now);
                if let Some(decision) = self.then.take() {
                    self.plan(decision, now);
                }
            }
            (_, Answer::Refused | Answer::Seen(..)) => self.refused(now),
        }
    }

    fn beaten(&mut self, now: Millis) {
        self.beat = now + BEAT;
        if matches!(self.phase, Phase::Away(_)) {
            (self.phase, self.seen, self.look) = (Phase::Here, None, now);
            let decision = self.decide(Occasion::Return);
            self.plan(decision, now);
        }
    }

    /// Whatever stood in the way: they look where they are, and do not insist.
    fn refused(&mut self, now: Millis) {
        (self.act, self.look, self.beat) = (None, now, self.beat.max(now + REST));
        match &mut self.phase {
            Phase::Without(Some(at)) | Phase::Outside(Some(at)) | Phase::Away(Some(at)) => *at = now + REST,
            _ => {}
        }
    }

    fn sees(&mut self, state: Option<String>, of: Option<String>, now: Millis) {
        let Some(state) = state else { return self.goes_out(now) };
        let now_seen = (state, of);
        let before = self.seen.replace(now_seen.clone());
        if before.as_ref() == Some(&now_seen) {
            return;
        }
        let waits = |state: &str| matches!(state, "spin_active" | "queue_waiting");
        let occasion = match now_seen.0.as_str() {
            // A spin that is over is still the same wait.
            state if waits(state) && before.is_some_and(|(before, _)| waits(&before)) => return,
            state if waits(state) => Occasion::Wait,
            // The other's account is gone, and the match with it; somebody will notice.
            "paired" | "vote_active" if now_seen.1.is_none() => {
                (self.act, self.then) = (None, None);
                return;
            }
            "paired" => Occasion::Meet,
            "vote_active" => Occasion::Vote,
            "video_date" => Occasion::Date,
            "ended" => Occasion::After,
            // They are here, and the database does not know it.
            _ => return self.beat = now,
        };
        // What they decided as they came back goes before what they find.
        if self.act.is_some() && has_just_returned(&self.taken) {
            return;
        }
        let decision = self.decide(occasion);
        self.plan(decision, now);
    }

    fn goes_out(&mut self, now: Millis) {
        (self.seen, self.act) = (None, None);
        self.decide_outside(Occasion::Out, now);
    }

    fn drop_out(&mut self, now: Millis) {
        let away = match self.act.take() {
            Some((_, Decision::Drop { away, .. })) => away,
            _ => None,
        };
        (self.phase, self.seen) = (Phase::Away(away.map(|away| now + away)), None);
    }

    fn decide_outside(&mut self, occasion: Occasion, now: Millis) {
        self.phase = match self.decide(occasion) {
            Decision::Join(after) => Phase::Outside(Some(now + after)),
            decision @ Decision::Delete(after) => {
                self.act = Some((now + after, decision));
                Phase::Outside(Some(now + after))
            }
            Decision::Anew(after) => Phase::Without(Some(now + after)),
            _ => Phase::Outside(None),
        };
    }

    fn decide(&mut self, occasion: Occasion) -> Decision {
        let times = self.times.get_mut(occasion as usize);
        let n = times.map_or(0, |times| {
            *times += 1;
            *times - 1
        });
        let decision = decide(self.seed, self.person.n, occasion, n, self.deleting);
        self.taken.push((occasion, n, decision.clone()));
        decision
    }

    fn plan(&mut self, decision: Decision, now: Millis) {
        let (decision, then) = match decision {
            Decision::Then(one, other) => (*one, Some(*other)),
            one => (one, None),
        };
        self.then = then;
        self.act = match &decision {
            Decision::Nothing | Decision::Gone | Decision::Anew(_) | Decision::Then(..) => None,
            Decision::Join(after)
            | Decision::Spin(after)
            | Decision::Reveal(after)
            | Decision::Vote(after, _)
            | Decision::End(after)
            | Decision::Leave(after)
            | Decision::Delete(after)
            | Decision::Drop { after, .. } => Some((now + after, decision)),
        };
    }
}

/// Whether the newest decision was taken on coming back.
fn has_just_returned(taken: &[Taken]) -> bool {
    taken.last().is_some_and(|(occasion, ..)| *occasion == Occasion::Return)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: &str, of: Option<&str>) -> Answer {
        Answer::Seen(Some(state.to_owned()), of.map(str::to_owned))
    }

    /// Somebody who is in the queue since 0, and has not looked yet.
    fn here(n: u32) -> Agent {
        let mut agent = Agent::new(1, 3, Person::of(1, n, 50));
        agent.heard(&Call::Join, Answer::Done, 0);
        agent
    }

    /// The first who decides so at their first occasion of this kind.
    fn who(occasion: Occasion, what: impl Fn(&Decision) -> bool) -> Agent {
        here((0..5000).find(|n| what(&decide(1, *n, occasion, 0, 3))).unwrap())
    }

    #[test]
    fn comes_looks_and_says_that_it_is_there() {
        let mut agent = Agent::new(1, 0, Person::of(1, 3, 50));
        let Next::Wait(at) = agent.next(0) else { panic!("{:?}", agent.next(0)) };
        assert_eq!(agent.next(at), Next::Ask(Call::Join));
        agent.heard(&Call::Join, Answer::Done, at);
        assert_eq!(agent.next(at), Next::Wait(at + LOOK));
        assert_eq!(agent.next(at + LOOK), Next::Ask(Call::Look));
        assert_eq!(agent.next(at + BEAT), Next::Ask(Call::Heartbeat));
    }

    #[test]
    fn reveals_and_votes_in_the_match_it_sees() {
        let mut agent = who(Occasion::Meet, |d| matches!(d, Decision::Reveal(_)));
        agent.heard(&Call::Look, seen("paired", Some("m")), 1_000);
        assert_eq!(agent.next(20_000), Next::Ask(Call::Reveal("m".into())));
        agent.heard(&Call::Reveal("m".into()), Answer::Refused, 20_000);
        assert_eq!(agent.next(20_000), Next::Ask(Call::Look));

        let mut agent = who(
            Occasion::Vote,
            |d| matches!(d, Decision::Then(_, then) if matches!(**then, Decision::Vote(..))),
        );
        agent.heard(&Call::Look, seen("vote_active", Some("m")), 1_000);
        assert_eq!(agent.next(20_000), Next::Ask(Call::Vote("m".into(), Vote::Yes)));
        agent.heard(&Call::Vote("m".into(), Vote::Yes), Answer::Done, 20_000);
        agent.heard(&Call::Look, seen("vote_active", Some("m")), 20_000);
        assert_eq!(agent.next(40_000), Next::Ask(Call::Vote("m".into(), Vote::Pass)));
    }

    #[test]
    fn without_its_match_it_waits_for_what_comes() {
        let mut agent = who(Occasion::Meet, |d| matches!(d, Decision::Reveal(_)));
        agent.heard(&Call::Look, seen("paired", Some("m")), 1_000);
        agent.heard(&Call::Heartbeat, Answer::Done, 20_000);
        agent.heard(&Call::Look, seen("paired", None), 20_000);
        assert_eq!(agent.next(20_500), Next::Wait(21_000));
        assert_eq!(agent.next(21_000), Next::Ask(Call::Look));
    }

    #[test]
    fn goes_away_and_comes_back() {
        for told in [true, false] {
            let mut agent = who(
                Occasion::Wait,
                |d| matches!(d, Decision::Drop { told: t, away: Some(_), .. } if *t == told),
            );
            agent.heard(&Call::Look, seen("queue_waiting", None), 1_000);
            let call = if told { Call::Offline } else { Call::Look };
            assert_eq!(agent.next(60_000), Next::Ask(call.clone()));
            agent.heard(&call, if told { Answer::Done } else { seen("queue_waiting", None) }, 60_000);
            let Next::Wait(back) = agent.next(60_000) else { panic!("{:?}", agent.next(60_000)) };
            assert_eq!(agent.next(back), Next::Ask(Call::Heartbeat));
            agent.heard(&Call::Heartbeat, Answer::Done, back);
            assert_eq!(agent.next(back), Next::Ask(Call::Look));
        }
    }

    #[test]
    fn deletes_the_account_and_comes_anew_as_somebody_else() {
        let is_delete = |d: &Decision| matches!(d, Decision::Delete(_));
        let anew = |n: u32| matches!(decide(1, n, Occasion::Deleted, 0, 3), Decision::Anew(_));
        let n = (0..5000).find(|n| is_delete(&decide(1, *n, Occasion::Meet, 0, 3)) && anew(*n)).unwrap();
        let mut agent = here(n);
        let before = agent.person.clone();
        agent.heard(&Call::Look, seen("paired", Some("m")), 1_000);
        assert_eq!(agent.next(20_000), Next::Ask(Call::Delete));
        // Refused, they are still there.
        agent.heard(&Call::Delete, Answer::Refused, 20_000);
        assert_eq!((agent.next(20_000), &agent.person.id), (Next::Ask(Call::Look), &before.id));
        agent.heard(&Call::Delete, Answer::Done, 20_000);
        assert!(matches!(agent.next(20_000), Next::Wait(_)), "{:?}", agent.next(20_000));
        assert_eq!(agent.next(40_000), Next::Ask(Call::Register));
        assert!(agent.person.id != before.id && Call::Register.sql(&agent.person).contains(&agent.person.id));
        agent.heard(&Call::Register, Answer::Refused, 40_000);
        assert_eq!(agent.next(40_000 + REST), Next::Ask(Call::Register));
        agent.heard(&Call::Register, Answer::Done, 50_000);
        assert_eq!(agent.next(50_000), Next::Ask(Call::Join));
        // Out of the queue it is the same.
        let out = (0..5000).find(|n| is_delete(&decide(1, *n, Occasion::Out, 0, 3))).unwrap();
        let mut agent = here(out);
        agent.heard(&Call::Look, Answer::Seen(None, None), 1_000);
        assert_eq!(agent.next(20_000), Next::Ask(Call::Delete));
    }

    #[test]
    fn whoever_is_not_in_the_queue_any_more_joins_again_or_is_gone() {
        let mut agent = who(Occasion::Out, |d| matches!(d, Decision::Join(_)));
        agent.heard(&Call::Look, Answer::Seen(None, None), 1_000);
        assert!(matches!(agent.next(1_000), Next::Wait(_)));
        assert_eq!(agent.next(30_000), Next::Ask(Call::Join));
        let mut agent = who(Occasion::Out, |d| *d == Decision::Gone);
        agent.heard(&Call::Look, Answer::Seen(None, None), 1_000);
        assert_eq!(agent.next(1_000_000), Next::Never);
    }
}
