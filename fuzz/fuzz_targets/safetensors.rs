//! Feeds arbitrary headers and data to the safetensors reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samtok::tokenizer::weights::Checkpoint;

fuzz_target!(|bytes: &[u8]| {
    // The length is right in one of the two, so that the table behind it is reached at all.
    let table_len = bytes.iter().rposition(|&byte| byte == b'}').map_or(0, |last| last as u64 + 1);
    for file in [[&table_len.to_le_bytes()[..], bytes].concat(), bytes.to_vec()] {
        let Ok(checkpoint) = Checkpoint::from_bytes(file) else { continue };
        for name in checkpoint.names() {
            let _ = checkpoint.read_f32(name);
        }
    }
});
