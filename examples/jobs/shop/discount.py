"""Prices of the shop, for `discount.yaml`."""


def basket(prices: dict[str, float], percent: str) -> dict[str, float]:
    """Return what each thing costs with a discount, and all of them together; args are texts."""
    share = 1 - int(percent) / 100
    cheaper = {name: round(price * share, 2) for name, price in prices.items()}
    print(f"{len(prices)} things, {percent} % off")
    return {**cheaper, "all": round(sum(cheaper.values()), 2)}
