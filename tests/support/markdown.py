"""Parts of Markdown pages."""


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below *heading*."""
    section = page.split(f"\n{heading}\n")[1]
    lines = section[section.index("\n|") :].lstrip().splitlines()
    table = [line for line in lines[: [*lines, ""].index("")] if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]
