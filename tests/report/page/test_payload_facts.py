from tests.report import build
from tracekit.messages import N_
from tracekit.report.i18n import LANGUAGES, Locale
from tracekit.report.page.payload import encode, payload

LOCALES = {name: Locale(name) for name in LANGUAGES}


def of(report):
    return payload(report, LOCALES, "en")


def test_what_is_to_know_of_the_device_is_told_in_every_language():
    note = N_(
        "{name} is not in the device table: give --peak-tflops and --bandwidth, or --gpu", name="X\u202e"
    )
    report = build.hybrid()
    known = of(build.changed(report, device=build.changed(report.device, note=note)))["device"]["note"]
    assert known["en"] == (
        "X\\u202e is not in the device table: give --peak-tflops and --bandwidth, or --gpu"
    )
    assert known["ru"] != known["en"]
    assert "X\\u202e" in known["ru"]
    assert of(report)["device"]["note"] is None


def test_figures_of_phases_are_found_by_the_names_that_are_shown():
    data = of(build.phases())
    assert data["phases"] == data["phase_rows"]["name"] == ["prefill", "decode"]
    assert data["phase_rows"]["pass_wall_us"] == [10_000.0, 1000.0]
    assert data["phase_rows"]["latency_us"] == [5000.0, 500.0]
    assert [one["phase"] for one in data["blocks"]["phases"][0]] == ["prefill", "decode"]


def test_hostile_names_of_phases_are_the_same_wherever_they_stand():
    data = of(build.hostile_capture())
    first, second = data["phases"]
    assert first.isprintable()
    assert second == first + "2"
    assert data["main_phase"] == data["time"]["phase"] == first
    assert data["phase_rows"]["name"] == [first, second]
    assert data["passes"]["phase"] == [first, second, second]
    assert [one["phase"] for one in data["blocks"]["phases"][0]] == [first, second]
    assert list(data["modules"]["phases"]) == list(data["phase_names"]) == [first, second]
    assert set(data["basis"]["en"]) == {"", first, second}
    assert "<" not in encode(data)
