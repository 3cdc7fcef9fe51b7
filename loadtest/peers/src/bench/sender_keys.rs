//! A sender key for every device of a group, against a Megolm session key by Olm.

use super::{Bench, nothing};
use crate::Failure;
use crate::compare::by_turns;
use crate::peer::{self, Olm, VODOZEMAC};
use crate::results::{Goal, Row};
use conclave_village::{Contact, Plan, Trouble, Village, delivered_bytes};

/// As many devices as a first contact reaches in one upload, with a little to spare.
const ONE_UPLOAD: usize = 400;

impl Bench {
    pub(super) fn sender_keys(&mut self) -> Result<(), Failure> {
        let devices = self.scale.devices;
        let village = self.settle(Plan::new(devices, 0))?;
        let work = format!("sender key to {devices}, first contact");
        match village.distribute(Contact::First, &mut self.rng) {
            Ok(_) => self.first_contact(work, &village, devices)?,
            Err(Trouble::NotPossible(why)) => {
                self.add([Row::not_possible(work, why)])?;
                let few = devices.min(ONE_UPLOAD);
                let village = self.settle(Plan::new(few, 0))?;
                self.first_contact(format!("sender key to {few}, first contact"), &village, few)?;
            }
            Err(trouble) => return Err(trouble.into()),
        }
        self.known(&village)
    }

    fn first_contact(&mut self, work: String, village: &Village, devices: usize) -> Result<(), Failure> {
        self.say("first contacts");
        let mut olm = Olm::new(devices - 1)?;
        let (mut our_bytes, mut their_bytes) = (0, 0);
        let rng = &mut self.rng;
        let ours = || {
            let step = village.distribute(Contact::First, rng)?;
            our_bytes = delivered_bytes(&step.output.deliveries);
            Ok(step.spent)
        };
        let theirs = || {
            let (spent, bytes) = olm.hand_out(peer::Contact::First)?;
            their_bytes = bytes;
            Ok(spent)
        };
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), vec![Box::new(theirs)])?;
        let figures = samples.beside(0, VODOZEMAC).ok_or_else(nothing)?;
        let each = format!("{work}, each");
        self.add([
            Row::times(work, figures).note("ours is post-quantum, Olm is not"),
            Row::bytes(each, our_bytes / (devices - 1), Some((VODOZEMAC, their_bytes / (devices - 1)))),
        ])
    }

    fn known(&mut self, village: &Village) -> Result<(), Failure> {
        self.say("known devices");
        let devices = self.scale.devices;
        let mut olm = Olm::new(devices - 1)?;
        let (mut our_bytes, mut their_bytes) = (0, 0);
        let rng = &mut self.rng;
        let ours = || {
            let step = village.distribute(Contact::Known, rng)?;
            our_bytes = delivered_bytes(&step.output.deliveries);
            Ok(step.spent)
        };
        let theirs = || {
            let (spent, bytes) = olm.hand_out(peer::Contact::Known)?;
            their_bytes = bytes;
            Ok(spent)
        };
        let samples = by_turns(self.scale.group_repetitions, Box::new(ours), vec![Box::new(theirs)])?;
        let figures = samples.beside(0, VODOZEMAC).ok_or_else(nothing)?;
        let work = format!("sender key to {devices}, known");
        let each = format!("{work}, each");
        self.add([
            Row::times(work, figures).goal(Goal::Us(1000.0)),
            Row::bytes(each, our_bytes / (devices - 1), Some((VODOZEMAC, their_bytes / (devices - 1))))
                .goal(Goal::Bytes(40)),
        ])
    }
}
