from typing import Any
def page(report: Any) -> str: return ""
