//! Compiles every schema in `schema/` into one generated module, without a system protoc.

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("schema");
    println!("cargo:rerun-if-changed={}", folder.display());
    let mut schemas = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            println!("cargo:rerun-if-changed={}", path.display());
            schemas.push(path);
        }
    }
    schemas.sort();
    let descriptors = protox::compile(&schemas, [folder])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
