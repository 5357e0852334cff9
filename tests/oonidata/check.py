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

        # This version has no model for these, whose rows are those of web_connectivity.
        same = ("urlgetter", "telegram", "facebook_messenger")
        models = {**nettest_dataformats, **dict.fromkeys(same, WebConnectivity)}
    except ImportError:
        from oonidata.models.nettests import NETTEST_MODELS as models
    return lambda raw: models[raw["test_name"]].from_dict(raw)


def observer():
    """Returns the function that makes observations of one measurement, or None in versions without it."""
    try:
        from oonidata import observations as made
    except ImportError:
        return None
    from oonidata.dataformat import TorTestKeys

    # This version forgot the key for tor, and fails on OONI's own measurements of it as well.
    TorTestKeys.client_resolver = None
    nothing = NoInformation()
    # Tests without a function of their own have the rows of web_connectivity, and are observed like it.
    own = {"signal": made.make_signal_observations, "tor": made.make_tor_observations}

    def observe(measurement):
        make = own.get(measurement.test_name, made.make_web_connectivity_observations)
        return [len(some) for some in make(measurement, nothing, nothing)]

    return observe


def rows(raw):
    """Returns how many rows there are of lookups, connections, handshakes and requests."""
    keys = raw["test_keys"]
    holders = list(keys["targets"].values()) if "targets" in keys else [keys]
    names = ("queries", "tcp_connect", "tls_handshakes", "requests")
    return [sum(len(holder[name]) for holder in holders) for name in names]


def main():
    # What the package finds odd it logs as an error; such lines are counted and one is shown.
    odd = []
    handler = logging.Handler()
    handler.emit = lambda record: odd.append(record.getMessage())
    logging.getLogger("oonidata").addHandler(handler)
    logging.getLogger("oonidata").propagate = False
    parse, observe = loader(), observer()
    parsed = observed = total = 0
    sums, tests = [0, 0, 0, 0], {}
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
                        lookups, *others = rows(raw)
                        # Each row must become one observation; a lookup becomes one for each of its answers.
                        assert counts[1:] == others, f"{counts[1:]} observed of {others} rows"
                        assert counts[0] or not lookups, "no lookup was observed"
                        tests[raw["test_name"]] = tests.get(raw["test_name"], 0) + 1
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
    if tests:
        text += "; " + ", ".join(f"{count} {name}" for name, count in sorted(tests.items()))
    print(text)
    return 0 if total and parsed == total and (observed == total or not observe) else 1


sys.exit(main())
