"""Log queries against the plain definition; a bloom may say yes too often, never no."""

from hypothesis import given
from hypothesis import strategies as st

from node.log_query import LogQuery
from vm.receipt import Log, logs_bloom

ADDRESSES = st.sampled_from([bytes([i]) * 20 for i in range(4)])
TOPICS = st.sampled_from([bytes([i]) * 32 for i in range(4)])
LOGS = st.builds(Log, ADDRESSES, st.lists(TOPICS, max_size=4).map(tuple), st.just(b""))
QUERIES = st.builds(
    LogQuery,
    st.frozensets(ADDRESSES, max_size=2),
    st.lists(st.frozensets(TOPICS, max_size=2), max_size=4).map(tuple),
)


def is_asked_for(query: LogQuery, log: Log) -> bool:
    """eth_getLogs: any listed address; at each place one of the listed topics, or anything."""
    if query.addresses and log.address not in query.addresses:
        return False
    for place, allowed in enumerate(query.topics):
        if place >= len(log.topics):
            return False
        if allowed and log.topics[place] not in allowed:
            return False
    return True


@given(QUERIES, LOGS)
def test_a_log_matches_as_ethereum_defines_it(query, log):
    assert query.matches(log) == is_asked_for(query, log)


@given(QUERIES, st.lists(LOGS, min_size=1, max_size=5))
def test_a_bloom_never_hides_a_log(query, logs):
    if any(query.matches(log) for log in logs):
        assert query.may_match(logs_bloom(logs))


def test_a_bloom_spares_most_blocks():
    bloom = logs_bloom([Log(b"a" * 20, (b"t" * 32,), b"")])
    queries = [LogQuery(frozenset((bytes([i]) * 20,)), ()) for i in range(200)]
    assert sum(query.may_match(bloom) for query in queries) < 20
