import sys; sys.path.insert(0,'/work/main/tests')
from test_order import *
@pytest.mark.parametrize("seed", [0,1,2])
@pytest.mark.parametrize("kind", ["head","mixed"])
def test_dbg(redis_client, clock, seed, kind):
    dice, stage = random.Random(seed), Stage(clock)
    fleet = hire(redis_client, clock, capacity=20)
    insiders = visitors(fleet, dice, 20, session_seconds=40)
    crowd = visitors(fleet, dice, 300, session_seconds=20)
    gone = set(dice.sample(range(300), 100)) if kind == "mixed" else set(range(100))
    def left(v):
        yield from itertools.islice(v.visit(), 1)
    for nth, visitor in enumerate([*insiders, *crowd]):
        visitor.name = f"{nth}"
        stage.enter(left(visitor) if nth-20 in gone else visitor.visit(), after=nth / 1000)
    patient = [visitor for nth, visitor in enumerate(crowd) if nth not in gone]
    stage.run(1200, until=lambda: all(visitor.left_at for visitor in patient))
    waited = [visitor for visitor in patient if visitor.number]
    b=min(v.number for v in waited)
    o=overtaken(waited)
    print(f"\n{kind} {seed} overtaken {len(o)} >6s: {len([1 for x in o if x[2]>6])} max {max([x[2] for x in o],default=0):.1f}; end {clock.seconds:.0f} checkins {sum(v.check_ins for v in waited)}")
