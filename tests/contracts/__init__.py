"""The contracts of disguises, containers, exporters and attackers: functions that assert what each of them must do."""

from tests.contracts.attacker import ATTACKER_CONTRACTS
from tests.contracts.container import CONTAINER_CONTRACTS
from tests.contracts.disguise import CONTRACTS
from tests.contracts.exporter import EXPORTER_CONTRACTS

__all__ = ["ATTACKER_CONTRACTS", "CONTAINER_CONTRACTS", "CONTRACTS", "EXPORTER_CONTRACTS"]
