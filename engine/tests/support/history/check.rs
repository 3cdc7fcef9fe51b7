//! What must hold at the end of a history.

use super::super::Person;
use super::History;
use conclave_engine::wire::roster::Role;
use conclave_engine::{Continuity, GroupState};
use std::collections::{BTreeMap, BTreeSet};

impl History {
    /// What the model says this person reads, in order, and whether a gap shows.
    fn expected(&self, reader: Option<usize>) -> Vec<(usize, &[u8], bool)> {
        let mut gap_before: BTreeSet<usize> = BTreeSet::new();
        let mut expected = Vec::new();
        for posted in &self.posted {
            let may = reader.is_none_or(|reader| posted.readers.contains(&reader));
            if !may {
                continue;
            }
            if reader.is_some_and(|reader| self.withheld.contains(&(reader, posted.seq))) {
                gap_before.insert(posted.sender);
                continue;
            }
            let gap = gap_before.remove(&posted.sender) || posted.after_loss;
            expected.push((posted.sender, posted.content.as_slice(), gap));
        }
        expected
    }

    /// Everybody reads to the end; then everything must be as the model says.
    pub fn check(&mut self) {
        for who in 0..self.people.len() {
            self.catch_up(who);
        }
        self.silent[2].catch_up(&self.log);
        for (who, person) in self.people.iter().enumerate() {
            self.check_reader(Some(who), person);
        }
        for silent in &self.silent {
            self.check_reader(None, silent);
        }
        let [live, restarted, late] = &self.silent;
        assert_eq!(live.stored(), restarted.stored(), "restarting after every entry changes nothing");
        assert_eq!(live.stored(), late.stored(), "reading late changes nothing");
    }

    fn check_reader(&self, reader: Option<usize>, person: &Person) {
        assert_eq!(person.refused, [], "{} refused entries", person.name);
        let sender = |who: usize| self.people[who].device.id();
        let expected = self.expected(reader);
        let read: Vec<_> = person.read.iter().map(|m| (m.sender.device, m.content.as_slice())).collect();
        let due: Vec<_> = expected.iter().map(|(who, content, _)| (sender(*who), *content)).collect();
        assert_eq!(read, due, "{} reads what the model says", person.name);
        for (message, (who, content, gap)) in person.read.iter().zip(&expected) {
            let content = String::from_utf8_lossy(content);
            match message.continuity {
                Continuity::Gap => assert!(gap, "{} sees a false gap at {content}", person.name),
                Continuity::Linked => {
                    assert!(!gap, "{} sees no gap at {content} of {}", person.name, self.people[*who].name);
                }
                _ => {}
            }
        }
        let is_member = reader.is_none_or(|who| self.members.contains_key(&who));
        if let Some(group) = person.group.as_ref().filter(|_| is_member) {
            assert_eq!(group.epoch(), self.log.epoch(), "{}", person.name);
            assert_eq!(group.roster().hash(), self.log.roster().hash(), "{}", person.name);
            assert_eq!(group.state(), GroupState::Active, "{}", person.name);
            let roles = self.members.iter().map(|(who, role)| (self.people[*who].device.account(), *role));
            let silent = (self.silent[0].device.account(), Role::Member);
            assert_eq!(
                group.roster().accounts().collect::<BTreeMap<_, _>>(),
                roles.chain([silent]).collect()
            );
        }
        if let Some(who) = reader {
            let posted = self.posted.iter().filter(|posted| posted.sender == who).count();
            assert_eq!(person.sent.len(), posted, "{} sees each own message once", person.name);
        }
    }
}
