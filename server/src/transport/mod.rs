//! What carries a connection's bytes: TCP, with TLS around it or not.
//!
//! ```text
//!     TcpStream --- handshake, in time ---> Accepted (HTTP) --- upgrade ---> Transport (the hub reads and writes it)
//! ```

mod accepted;
pub(crate) mod certificates;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use accepted::{Accepted, Acceptor};

use actix_rt::net::TcpStream;
use rustls::ServerConnection;
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// A connection that its hub reads and writes when it can, and waits for otherwise.
pub(crate) enum Transport {
    /// As it is.
    Plain(TcpStream),
    /// Encrypted.
    Tls(Box<Encrypted>),
}

/// A connection with the state of its encryption.
pub(crate) struct Encrypted {
    stream: TcpStream,
    session: RefCell<ServerConnection>,
    /// Nothing was read yet: what came with the handshake may be decrypted already, and no socket says so. (Later the socket is
    /// read only when nothing decrypted is left.)
    untouched: Cell<bool>,
}

impl Transport {
    /// Waits until there may be something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tls(encrypted) if encrypted.untouched.get() => Ok(()),
            _ => self.stream().readable().await,
        }
    }

    /// Waits until something may be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.stream().writable().await
    }

    /// Reads what there is; 0 bytes is the end.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_read(buffer),
            Self::Tls(encrypted) => encrypted.try_read(buffer),
        }
    }

    /// Takes some of this for writing. What it takes may still wait here: see [`Transport::try_flush`].
    pub(crate) fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_write_vectored(slices),
            Self::Tls(encrypted) => encrypted.try_write_vectored(slices),
        }
    }

    /// Whether everything that was taken is with the system.
    pub(crate) fn try_flush(&self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(encrypted) => encrypted.send(&mut encrypted.session.borrow_mut()),
        }
    }

    /// Says that nothing follows, if there is a way to say it.
    pub(crate) fn finish(&self) {
        if let Self::Tls(encrypted) = self {
            let mut session = encrypted.session.borrow_mut();
            session.send_close_notify();
            // Whatever the socket does not take now is not missed.
            let _ = encrypted.send(&mut session);
        }
    }

    fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(encrypted) => &encrypted.stream,
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl Encrypted {
    fn new(stream: TcpStream, session: ServerConnection) -> Self {
        Self { stream, session: RefCell::new(session), untouched: Cell::new(true) }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        loop {
            match session.reader().read(buffer) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.untouched.set(false),
                // The other side went without saying so, which a WebSocket does with a frame of its own.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            if session.read_tls(&mut Unblocked(&self.stream))? == 0 {
                // The end is told by what is read next.
                session.process_new_packets().map_err(invalid)?;
                continue;
            }
            let processed = session.process_new_packets();
            // An answer to what came, or an alert that says what is wrong with it.
            self.send(&mut session)?;
            processed.map_err(invalid)?;
        }
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        // One burst at a time, so that what waits here is bounded by what rustls takes at once.
        if !self.send(&mut session)? {
            return Err(ErrorKind::WouldBlock.into());
        }
        let taken = session.writer().write_vectored(slices)?;
        self.send(&mut session)?;
        Ok(taken)
    }

    /// Sends what is encrypted, as far as the socket takes it; says whether that is all.
    fn send(&self, session: &mut ServerConnection) -> io::Result<bool> {
        while session.wants_write() {
            match session.write_tls(&mut Unblocked(&self.stream)) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

/// A socket that says `WouldBlock` where it would have to wait.
struct Unblocked<'a>(&'a TcpStream);

impl Read for Unblocked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Unblocked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
