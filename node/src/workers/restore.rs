use crate::admin::operator::*;
use crate::shell::Shell;
pub struct Restore {
    pub what: crate::admin::command::Selection,
    pub to: std::path::PathBuf,
    pub include: Vec<String>,
    pub exclude: Vec<String>,
    pub without: Vec<safelight_proto::vocabulary::Site>,
}
pub async fn restore(_: &std::sync::Arc<Shell>, _: Restore, _: &Reporter) -> Result<Outcome, Failure> {
    Err(Failure::new("x"))
}
pub async fn restore_files(
    _: &std::sync::Arc<Shell>,
    _: Restore,
    _: &Reporter,
) -> Result<crate::admin::doc::RestoreDoc, Failure> {
    Err(Failure::new("x"))
}
