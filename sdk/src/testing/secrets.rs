//! What a login shows of its secrets.

use crate::fake::{Fake, Fault};
use crate::target::Target;

/// Has a proxy answer every login with what it was sent, and checks that the error quotes the answer without it.
///
/// # Panics
/// If the secret is shown, or if the answer is not quoted at all.
pub async fn repeated_by_a_proxy(
    fake: &Fake,
    target: &dyn Target,
    (method, path): (&'static str, &'static str),
    secret: &str,
) {
    let answer = format!("a proxy refuses {secret} and says no more");
    let fault = Fault::answer(400, &answer).on(method, path);
    fake.server.fault(fault.times(usize::MAX));
    let error = target.open().await.err();
    let told = error.map_or_else(String::new, |error| format!("{error} {error:?}"));
    assert!(told.contains("a proxy refuses"), "{told}");
    assert!(!told.contains(secret), "{told}");
}
