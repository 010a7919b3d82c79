//! Protocol buffers' wire format: fields with their numbers, read in place.

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Eight bytes.
    Eight(u64),
    /// Bytes: a message, a text, or packed numbers.
    Bytes(&'a [u8]),
    /// Four bytes.
    Four(u32),
}

impl<'a> Wire<'a> {
    /// The bytes of a message or text; nothing for a number.
    pub fn bytes(self) -> &'a [u8] {
        match self {
            Wire::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    /// The text.
    pub fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The number, as a signed one.
    pub fn int(self) -> i64 {
        match self {
            Wire::Varint(value) | Wire::Eight(value) => value as i64,
            Wire::Four(value) => i64::from(value),
            Wire::Bytes(_) => 0,
        }
    }

    /// The number of four bytes as a real one.
    pub fn float(self) -> f64 {
        match self {
            Wire::Four(bits) => f64::from(f32::from_bits(bits)),
            Wire::Eight(bits) => f64::from_bits(bits),
            _ => 0.0,
        }
    }
}

/// The fields of a message in order.
///
/// # Errors
/// If the message is cut off or damaged.
pub fn fields(mut bytes: &[u8]) -> Result<Vec<(u64, Wire<'_>)>, String> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let field = field(&mut bytes).ok_or("its protocol buffer is damaged or cut off")?;
        found.push(field);
    }
    Ok(found)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Wire<'a>)> {
    let tag = varint(bytes)?;
    let value = match tag & 7 {
        0 => Wire::Varint(varint(bytes)?),
        1 => Wire::Eight(u64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        2 => {
            let length = usize::try_from(varint(bytes)?).ok()?;
            Wire::Bytes(take(bytes, length)?)
        }
        5 => Wire::Four(u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?)),
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Numbers of variable length, packed or one by one.
pub fn ints(value: Wire, into: &mut Vec<i64>) -> Result<(), String> {
    let Wire::Bytes(mut bytes) = value else {
        into.push(value.int());
        return Ok(());
    };
    while !bytes.is_empty() {
        into.push(varint(&mut bytes).ok_or("its protocol buffer is damaged or cut off")? as i64);
    }
    Ok(())
}

/// Real numbers of four bytes, packed or one by one.
pub fn floats(value: Wire, into: &mut Vec<f64>) {
    match value {
        Wire::Bytes(bytes) => {
            let numbers = bytes.chunks_exact(4).filter_map(|four| four.try_into().ok()).map(f32::from_le_bytes);
            into.extend(numbers.map(f64::from));
        }
        value => into.push(value.float()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_read_in_order() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'o', b'k', 0x1d, 0, 0, 0x80, 0x3f];
        let found = fields(&message).unwrap();
        assert_eq!(found, [(1, Wire::Varint(150)), (2, Wire::Bytes(b"ok")), (3, Wire::Four(0x3f80_0000))]);
        assert_eq!(found[2].1.float(), 1.0);
        assert!(fields(&message[..4]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = fields(&bytes);
        }
    }
}
