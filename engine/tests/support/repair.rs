//! People who ask each other for what they lack, over a carrier that keeps everything.

use super::Person;
use conclave_engine::wire::ids::DeviceId;
use conclave_engine::wire::receipt::ServerKey;
use conclave_engine::{
    AcceptError, Answer, AnswerContent, AnswerError, AskError, AskedFor, PrekeyBook, ReceiptError, Repair,
    Verdict,
};

impl Person {
    pub fn ask_sender_key(&mut self, of: &Self) -> Result<Vec<u8>, AskError> {
        let (of, now) = (of.device.id(), self.now);
        let asked = self.group.as_mut().unwrap().ask_sender_key(&self.device, of, now)?;
        Ok(self.asked(asked))
    }

    pub fn ask_welcome(&mut self, to: Option<DeviceId>) -> Result<Vec<u8>, AskError> {
        let now = self.now;
        let asked = self.group.as_mut().unwrap().ask_welcome(&self.device, to, now)?;
        Ok(self.asked(asked))
    }

    pub fn ask_initial(&mut self, to: Option<DeviceId>) -> Result<Vec<u8>, AskError> {
        let now = self.now;
        let asked = self.group.as_mut().unwrap().ask_initial(&self.device, to, now)?;
        Ok(self.asked(asked))
    }

    fn asked(&mut self, asked: AskedFor) -> Vec<u8> {
        self.save(asked.changes);
        asked.request
    }

    /// Answers; a refusal must leave everything as it was.
    pub fn answer(&mut self, request: &[u8], book: &PrekeyBook) -> Result<Answer, AnswerError> {
        let before = self.snapshot();
        let (now, rng) = (self.now, &mut self.rng);
        let result = self.group.as_mut().unwrap().answer(&self.device, request, book, now, rng);
        match &result {
            Ok(answer) => self.save(answer.changes.clone()),
            Err(_) => assert_eq!(self.snapshot(), before),
        }
        result
    }

    /// The bytes of an answer that is to be sent.
    pub fn answer_with(&mut self, request: &[u8], book: &PrekeyBook) -> Vec<u8> {
        match self.answer(request, book).unwrap().content {
            AnswerContent::Send(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Takes an answer; a refusal must leave everything as it was.
    pub fn accept(&mut self, answer: &[u8]) -> Result<Repair, AcceptError> {
        let before = self.snapshot();
        match self.group.as_mut().unwrap().accept_answer(&mut self.device, answer) {
            Ok(repaired) => {
                self.save(repaired.changes);
                Ok(repaired.repair)
            }
            Err(error) => {
                assert_eq!(self.snapshot(), before);
                Err(error)
            }
        }
    }

    pub fn note_receipt(&mut self, receipt: &[u8], server: &ServerKey) -> Result<Verdict, ReceiptError> {
        let noted = self.group.as_mut().unwrap().note_receipt(receipt, server)?;
        self.save(noted.changes);
        Ok(noted.verdict)
    }
}
