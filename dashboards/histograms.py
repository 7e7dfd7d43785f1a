"""
PromQL about histograms, whether Prometheus stores them as classic or as native ones.

Prometheus 3 can convert classic histograms to native ones. It then keeps both or drops the classic
series. The classic ones win if there are both, so that nothing counts twice.
"""

from collections.abc import Callable


def quantile(share: float, growth: Callable[[str], str], metric: str, *, by: str = "") -> str:
    """
    Return a quantile of what a histogram has observed, e.g. 0.9, by labels.

    *growth* returns the expression for the growth of a series, e.g. its `increase()`.
    """
    labels = f"{by}, " if by else ""
    classic = f"sum by ({labels}le) ({growth(f'{metric}_bucket')})"
    native = f"sum by ({by}) ({growth(metric)})"
    return f"histogram_quantile({share}, {classic})\nor\nhistogram_quantile({share}, {native})"


def known_quantile(share: float, growth: Callable[[str], str], metric: str, *, by: str = "") -> str:
    """Return a quantile, or nothing if nothing was observed: Grafana draws no chart with NaN."""
    return f"(\n{quantile(share, growth, metric, by=by)}\n) >= 0"
