//! Sets `lanes` where the target has the instructions of the eight-lane verification.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let has = |feature| features.split(',').any(|known| known == feature);
    if has("avx512f") && has("avx512ifma") {
        println!("cargo::rustc-cfg=lanes");
    }
}
