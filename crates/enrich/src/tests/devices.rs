//! Kinds of devices.

use crate::device::Device;

#[test]
fn devices_by_what_they_say() {
    use Device::{Car, Console, Desktop, Mobile, Reader, Tablet, Tv, Wearable};
    for (agent, device) in [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", Some(Desktop)),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Tablet PC 2.0)", Some(Desktop)),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", Some(Desktop)),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0)", Some(Desktop)),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)", Some(Mobile)),
        ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X)", Some(Tablet)),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/141.0.0.0 Mobile Safari/537.36", Some(Mobile)),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/141.0.0.0 Safari/537.36", Some(Tablet)),
        ("Mozilla/5.0 (Linux; Android 12; SM-X906C) Chrome/80 Mobile Safari/537.36", Some(Tablet)),
        ("Mozilla/5.0 (Android 14; Tablet; rv:139.0) Gecko/139.0 Firefox/139.0", Some(Tablet)),
        ("Mozilla/5.0 (Mobile; Nokia 8110 4G; rv:48.0) KAIOS/2.5", Some(Mobile)),
        ("Mozilla/5.0 (Linux; Android 9; AFTMM Build/PS7233; wv) Chrome/70 Mobile Safari/537.36", Some(Tv)),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) Chrome/79 Safari/537.36", Some(Tv)),
        ("Mozilla/5.0 (Linux; Android 10; BRAVIA 4K UR2) Chrome/90 Safari/537.36", Some(Tv)),
        ("Roku/DVP-12.0 (12.0.0.4182-88)", Some(Tv)),
        ("Mozilla/5.0 (Nintendo Switch; WifiWebAuthApplet)", Some(Console)),
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) Edge/44", Some(Console)),
        ("Mozilla/5.0 (X11; Linux x86_64; Quest 3) OculusBrowser/33.0 Chrome/126 VR Safari/537.36", Some(Wearable)),
        ("Mozilla/5.0 (X11; GNU/Linux) Chromium/79 Chrome/79 Safari/537.36 Tesla/2020.16", Some(Car)),
        ("Mozilla/5.0 (Linux; U; en-US) Version/4.0 Kindle/3.0 (screen 600x800; rotate)", Some(Reader)),
        ("curl/8.14.1", None),
        ("", None),
    ] {
        assert_eq!(Device::of(agent, None, None), device, "{agent}");
    }
}
