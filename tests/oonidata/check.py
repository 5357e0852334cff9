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
    """Returns the function that parses one measurement, by where this version keeps its models."""
    try:
        from oonidata.dataformat import WebConnectivity, nettest_dataformats

        # This version has no model for urlgetter, whose rows are those of web_connectivity.
        models = {**nettest_dataformats, "urlgetter": WebConnectivity}
    except ImportError:
        from oonidata.models.nettests import NETTEST_MODELS as models
    return lambda raw: models[raw["test_name"]].from_dict(raw)


def observer():
    """Returns the function that makes observations of one measurement, or None in versions without it."""
    try:
        from oonidata import observations as made
    except ImportError:
        return None
    nothing = NoInformation()

    def observe(measurement):
        lists = made.make_web_connectivity_observations(measurement, nothing, nothing)
        return [len(some) for some in lists]

    return observe


def rows(raw):
    """Returns how many rows must become one observation each; a lookup becomes one for each of its answers."""
    return [len(raw["test_keys"][name]) for name in ("tcp_connect", "tls_handshakes", "requests")]


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
                    assert measurement.measurement_uid, "no measurement_uid"
                    parsed += 1
                    if observe:
                        counts = observe(measurement)
                        assert counts[1:] == rows(raw), f"{counts[1:]} observed of {rows(raw)} rows"
                        assert counts[0] or not raw["test_keys"]["queries"], "no lookup was observed"
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
