//! Just enough of two compressors to test a decompressor: text kept as it is, and runs of spaces packed
//! small.

/// A gzip member (RFC 1952) with one stored block.
pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap();
    let mut packed = GZIP_HEAD.to_vec();
    packed.push(0b001);
    packed.extend(len.to_le_bytes());
    packed.extend((!len).to_le_bytes());
    packed.extend(text);
    packed.extend(crc32(text).to_le_bytes());
    packed.extend(u32::from(len).to_le_bytes());
    packed
}

/// A gzip member of at least this many spaces: one literal, then copies of 258 bytes from one byte back,
/// in 13 bits each (RFC 1951, 3.2.6). Its check sum is never reached.
pub(super) fn gzip_spaces(count: usize) -> Vec<u8> {
    let mut bits = Bits(GZIP_HEAD.to_vec(), 0);
    bits.push(0b011, 3);
    bits.push_code(0x30 + u32::from(b' '), 8);
    for _ in 0..count.div_ceil(258) {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.0
}

/// A Zstandard frame (RFC 8878) with one raw block.
pub(super) fn zstd(text: &[u8]) -> Vec<u8> {
    let len = u8::try_from(text.len()).unwrap();
    let mut packed = ZSTD_MAGIC.to_vec();
    packed.extend([0x20, len]);
    packed.extend(&(u32::from(len) << 3 | 1).to_le_bytes()[..3]);
    packed.extend(text);
    packed
}

/// A Zstandard frame of at least this many spaces: blocks that repeat one byte 128 Ki times.
pub(super) fn zstd_spaces(count: usize) -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    let mut packed = ZSTD_MAGIC.to_vec();
    packed.extend([0, 7 << 3]);
    for _ in 0..=count / BLOCK as usize {
        packed.extend(&(BLOCK << 3 | 0b010).to_le_bytes()[..3]);
        packed.push(b' ');
    }
    packed.extend([0b001, 0, 0]);
    packed
}

const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

/// Bits from the lowest up; the second field counts those in the last byte.
struct Bits(Vec<u8>, u32);

impl Bits {
    fn push(&mut self, value: u32, count: u32) {
        for bit in 0..count {
            if self.1 == 0 {
                self.0.push(0);
            }
            *self.0.last_mut().unwrap() |= u8::from(value >> bit & 1 == 1) << self.1;
            self.1 = (self.1 + 1) % 8;
        }
    }

    /// Huffman codes come from their highest bit down.
    fn push_code(&mut self, code: u32, count: u32) {
        for bit in (0..count).rev() {
            self.push(code >> bit & 1, 1);
        }
    }
}
