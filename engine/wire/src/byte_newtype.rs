//! One macro for the many newtypes over a fixed number of public bytes.

/// Declares a public, `Copy`, comparable newtype over `[u8; $size]`, a CBOR byte string on the wire, hexadecimal for
/// people (whole with `Display`, the first four bytes with `Debug`, so that logs do not carry whole identifiers).
///
/// With `compared in constant time` it has no order and no hash: it is public, and what it is compared with was computed
/// from a secret that somebody may be guessing at.
macro_rules! byte_newtype {
    ($(#[$meta:meta])* $name:ident, $size:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $size]);

        byte_newtype!(@methods $name, $size);
    };

    ($(#[$meta:meta])* $name:ident, $size:literal, compared in constant time) => {
        $(#[$meta])*
        ///
        /// Compared in constant time.
        #[derive(Clone, Copy)]
        pub struct $name([u8; $size]);

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                subtle::ConstantTimeEq::ct_eq(&self.0[..], &other.0[..]).into()
            }
        }

        impl Eq for $name {}

        byte_newtype!(@methods $name, $size);
    };

    (@methods $name:ident, $size:literal) => {

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = $size;

            /// Takes the bytes as they are.
            pub const fn from_bytes(bytes: [u8; $size]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}…)"), a, b, c, d)
            }
        }

        impl std::str::FromStr for $name {
            type Err = hex::FromHexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let mut bytes = [0; $size];
                hex::decode_to_slice(text, &mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let bytes = d.bytes()?;
                let bytes = bytes
                    .try_into()
                    .map_err(|_| minicbor::decode::Error::message("byte string of another length"))?;
                Ok(Self(bytes))
            }
        }
    };
}

pub(crate) use byte_newtype;
