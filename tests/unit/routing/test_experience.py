"""What is learned of roles that escalate."""

from coreto.labels import Label
from coreto.messages import Attempt, Call
from coreto.providers.catalog import Deployment
from coreto.resilience.plan import Candidate, Journal, Plan
from coreto.routing.experience import AGAIN, Experience
from coreto.testing.clock import VirtualClock
from coreto.testing.provider import FakeProvider

HOME = Deployment("home/m", "home", "m", local=True, account="home", endpoint="home")
CLOUD = Deployment("far/m", "far", "m", local=False, account="far", endpoint="far")
PLAN = Plan(
    "chat", "chat", (Candidate(HOME, FakeProvider()), Candidate(CLOUD, FakeProvider())), escalate=True
)
TEXT = "resume o contrato da filial de Olinda"


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.experience = Experience(self.clock)

    def see(
        self,
        *outcomes: str,
        text: str = TEXT,
        user: str = "ana",
        deployment: str = "home/m",
        then: float = AGAIN + 1,
    ) -> None:
        journal = Journal(attempts=[Attempt(deployment, outcome) for outcome in outcomes])
        call = Call("c", {"messages": []}, "chat", label=Label.INTERNAL, user=user)
        self.experience.learn(call, PLAN, journal, text)
        self.clock.move(then)

    def gain(self, text: str = TEXT) -> float:
        return self.experience.judge("chat", text).value


def test_failures_raise_the_gain_where_they_happen() -> None:
    """Prompts that the local model fails come to be worth the cloud; others do not."""
    bench = Bench()
    before = bench.gain()
    for number in range(120):
        bench.see("doubtful", text=f"resume o contrato {number} da filial de Olinda")
        bench.see("ok", text=f"traduz a frase {number} para o inglês, por favor")
    assert bench.gain() > max(before, 0.5)
    assert bench.gain("traduz a frase 3 para o inglês, por favor") < 0.3


def test_what_says_nothing_of_the_prompt_is_not_learned() -> None:
    """A server that is down, an attempt that was skipped, an answer of the cloud: no lesson."""
    bench = Bench()
    bench.see("unreachable")
    bench.see("skipped")
    bench.see("ok", deployment="far/m")
    bench.see()
    assert bench.experience.learned == 0


def test_the_same_question_again_means_a_bad_answer() -> None:
    """Asked again within two minutes by the same caller, an answer counts as failed; later, or by another
    caller, it does not."""

    def lesson(pause: float, user: str) -> float:
        bench = Bench()
        for number in range(60):
            text = f"{TEXT} {number}"
            bench.see("ok", text=text, then=pause)
            bench.see("ok", text=text, user=user)
        return bench.gain(f"{TEXT} 7")

    assert lesson(pause=5.0, user="ana") > lesson(pause=5.0, user="bia")
    assert lesson(pause=5.0, user="ana") > lesson(pause=AGAIN + 60, user="ana")


def test_states_go_on_and_hold_no_text() -> None:
    """A new process knows what the last one learned, from features alone."""
    bench, fresh = Bench(), Bench()
    for number in range(50):
        bench.see("doubtful", text=f"contrato {number} da filial de Olinda")
    state = bench.experience.as_json()
    fresh.experience.restore(state)
    assert fresh.gain() == bench.gain()
    assert "Olinda" not in repr(state)
