//! `WIN32_ERROR_DESCRIPTION(code)`: what the numbers in `sc-win32-status` say. Those that web servers write; another one is
//! said to be unknown.

use super::rows::{Arg, Out};

const TEXTS: [(i64, &str); 54] = [
    (0, "The operation completed successfully."),
    (1, "Incorrect function."),
    (2, "The system cannot find the file specified."),
    (3, "The system cannot find the path specified."),
    (4, "The system cannot open the file."),
    (5, "Access is denied."),
    (6, "The handle is invalid."),
    (8, "Not enough storage is available to process this command."),
    (13, "The data is invalid."),
    (14, "Not enough storage is available to complete this operation."),
    (19, "The media is write protected."),
    (21, "The device is not ready."),
    (32, "The process cannot access the file because it is being used by another process."),
    (33, "The process cannot access the file because another process has locked a portion of the file."),
    (38, "Reached the end of the file."),
    (50, "The request is not supported."),
    (
        51,
        "Windows cannot find the network path. Verify that the network path is correct and the destination computer is not busy or turned off.",
    ),
    (53, "The network path was not found."),
    (64, "The specified network name is no longer available."),
    (65, "Network access is denied."),
    (67, "The network name cannot be found."),
    (80, "The file exists."),
    (87, "The parameter is incorrect."),
    (109, "The pipe has been ended."),
    (112, "There is not enough space on the disk."),
    (121, "The semaphore timeout period has expired."),
    (122, "The data area passed to a system call is too small."),
    (123, "The filename, directory name, or volume label syntax is incorrect."),
    (126, "The specified module could not be found."),
    (127, "The specified procedure could not be found."),
    (145, "The directory is not empty."),
    (161, "The specified path is invalid."),
    (170, "The requested resource is in use."),
    (183, "Cannot create a file when that file already exists."),
    (193, "%1 is not a valid Win32 application."),
    (206, "The filename or extension is too long."),
    (234, "More data is available."),
    (258, "The wait operation timed out."),
    (267, "The directory name is invalid."),
    (487, "Attempt to access invalid address."),
    (995, "The I/O operation has been aborted because of either a thread exit or an application request."),
    (997, "Overlapped I/O operation is in progress."),
    (998, "Invalid access to memory location."),
    (1_225, "The remote computer refused the network connection."),
    (1_229, "An operation was attempted on a nonexistent network connection."),
    (1_236, "The network connection was aborted by the local system."),
    (1_326, "The user name or password is incorrect."),
    (1_330, "The password for this account has expired."),
    (1_331, "This user can't sign in because this account is currently disabled."),
    (1_460, "This operation returned because the timeout period expired."),
    (1_909, "The referenced account is currently locked out and may not be logged on to."),
    (2_148_074_248, "The token supplied to the function is invalid"),
    (2_148_074_252, "The logon attempt failed"),
    (2_148_074_254, "No credentials are available in the security package"),
];

pub(super) fn description<'a>(args: &[Arg<'a>]) -> Option<Out<'a>> {
    let code = args[0].int();
    // The same 32 bits, with a sign.
    let code = if code < 0 { code & 0xffff_ffff } else { code };
    match TEXTS.binary_search_by_key(&code, |(known, _)| *known) {
        Ok(at) => Out::text(TEXTS[at].1),
        Err(_) => Out::text(format!("Unknown error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Arg::Int;

    #[test]
    fn each_is_found() {
        assert!(TEXTS.is_sorted_by_key(|(code, _)| *code));
        assert_eq!(description(&[Int(64)]), Out::text("The specified network name is no longer available."));
        assert_eq!(
            description(&[Int(-2_146_893_042)]),
            Out::text("No credentials are available in the security package")
        );
        assert_eq!(description(&[Int(4_711)]), Out::text("Unknown error 4711"));
    }
}
