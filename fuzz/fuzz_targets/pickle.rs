//! Feeds arbitrary bytes to the pickle reader, as the `data.pkl` of an otherwise sound torch archive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samtok::tokenizer::weights::Checkpoint;

/// A zip archive of one stored entry, without the checksum that would hide the input.
fn archive(pickle: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"data.pkl";
    let len = u32::try_from(pickle.len()).expect("fuzz inputs are short").to_le_bytes();
    let mut file = b"PK\x03\x04".to_vec();
    file.extend([0; 22]);
    file.extend([8, 0, 0, 0]);
    file.extend(NAME);
    file.extend(pickle);
    let start = u32::try_from(file.len()).expect("fuzz inputs are short").to_le_bytes();
    file.extend(b"PK\x01\x02");
    file.extend([0; 16]);
    file.extend(len);
    file.extend(len);
    file.extend([8, 0]);
    file.extend([0; 16]);
    file.extend(NAME);
    file.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    file.extend([54, 0, 0, 0]);
    file.extend(start);
    file.extend([0, 0]);
    file
}

fuzz_target!(|bytes: &[u8]| {
    for file in [archive(bytes), bytes.to_vec()] {
        let Ok(checkpoint) = Checkpoint::from_bytes(file) else { continue };
        for name in checkpoint.names() {
            let _ = checkpoint.read_f32(name);
        }
    }
});
