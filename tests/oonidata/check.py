"""Parses measurements with OONI's package and, where that version can, makes observations of them."""

import importlib.metadata
import json
import logging
import sys


class NoInformation:
    """Stands for the databases of networks and fingerprints, which the index does not have."""

    def lookup_asn(self, *_):
        return None

    def lookup_ip(self, *_):
        return None

    def match_dns(self, *_):
        return None

    def match_http(self, *_):
        return []


def loader():
    """Returns the function that parses one measurement, by where this version keeps it."""
    try:
        from oonidata.dataformat import load_measurement
    except ImportError:
        from oonidata.models.nettests import NETTEST_MODELS
        from oonidata.models.nettests.base_measurement import BaseMeasurement

        return lambda raw: NETTEST_MODELS.get(raw["test_name"], BaseMeasurement).from_dict(raw)
    return load_measurement


def observer():
    """Returns the function that makes observations of one measurement, or None in versions without it."""
    try:
        from oonidata import observations as made
    except ImportError:
        return None
    nothing = NoInformation()

    def observe(measurement):
        keys = measurement.test_keys
        if measurement.test_name == "web_connectivity":
            lists = made.make_web_connectivity_observations(measurement, nothing, nothing)
        else:
            lists = (
                made.make_dns_observations(measurement, keys.queries, nothing, nothing),
                made.make_tcp_observations(measurement, keys.tcp_connect, nothing, {}),
                made.make_tls_observations(measurement, keys.tls_handshakes, keys.network_events, nothing),
                made.make_http_observations(measurement, keys.requests, nothing, nothing),
            )
        return [len(some) for some in lists]

    return observe


def rows(raw):
    """Says whether a measurement has a row that must become an observation."""
    keys = raw["test_keys"]
    return any(keys.get(name) for name in ("queries", "tcp_connect", "tls_handshakes", "requests"))


def main():
    # What the package finds odd it logs as an error; each such line is a failure here.
    odd = []
    handler = logging.Handler()
    handler.emit = lambda record: odd.append(record.getMessage())
    logging.getLogger("oonidata").addHandler(handler)
    logging.getLogger("oonidata").propagate = False
    parse, observe = loader(), observer()
    parsed = observed = total = 0
    sums = [0, 0, 0, 0]
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                total += 1
                try:
                    raw = json.loads(line)
                    measurement = parse(raw)
                    is_known = type(measurement).__test_name__ == raw["test_name"]
                    # Version 0.2.3 has no model of its own for urlgetter.
                    assert is_known or raw["test_name"] == "urlgetter", "parsed as something else"
                    assert measurement.measurement_uid, "no measurement_uid"
                    parsed += 1
                    if observe:
                        counts = observe(measurement)
                        assert sum(counts) > 0 or not rows(raw), "nothing was observed"
                        sums = [one + other for one, other in zip(sums, counts)]
                        observed += 1
                except Exception as error:
                    print(f"{path}:{number}: {type(error).__name__}: {error}", file=sys.stderr)
    version = importlib.metadata.version("oonidata")
    text = f"oonidata {version}: {parsed} of {total} measurements parsed"
    if observe:
        text += ", {} observed ({} DNS, {} TCP, {} TLS, {} HTTP observations)".format(observed, *sums)
    if odd:
        text += f"; {len(odd)} found odd, such as: {odd[0]}"
    print(text)
    return 0 if total and parsed == total and (observed == total or not observe) else 1


sys.exit(main())
