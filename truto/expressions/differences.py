"""What is different from Truto on purpose, with the reason for each; ``docs/expressions.md`` is made from it.

``python -m truto.expressions.differences > docs/expressions.md`` writes the page anew.
"""

from __future__ import annotations

from typing import NamedTuple

from truto.expressions.functions.unavailable import REASONS


class Difference(NamedTuple):
    """One row: what an author writes or meets, what happens here, and why."""

    where: str
    here: str
    why: str


QUERY_READING = ("allowSparse", "decoder")
QUERY_WRITING = ("encoder", "formatter", "serializeDate", "sort")
_NAMED = ("declaration", "instruction", "attributes", "text", "cdata", "doctype", "comment", "parent", "type", "name")
_XML_KEYS = tuple(f"{name}Key" for name in (*_NAMED, "elements"))
_XML_FUNCTIONS = (
    *("attributesFn", "attributeNameFn", "attributeValueFn", "elementNameFn", "instructionFn", "instructionNameFn"),
    *("textFn", "cdataFn", "commentFn", "doctypeFn"),
)
XML_READING = (
    *("addParent", "alwaysChildren", "captureSpacesBetweenElements", "instructionHasAttributes"),
    *("nativeTypeAttributes", "sanitize", *_XML_KEYS, *_XML_FUNCTIONS),
)
XML_WRITING = (
    *(
        "indentAttributes",
        "indentCdata",
        "indentInstruction",
        "indentText",
    ),
    *("noQuotesForNativeAttributes", *_XML_KEYS, *_XML_FUNCTIONS, "fullTagEmptyElementFn"),
)
CSV_WRITING = ("formatters", "transforms")
"""Options of the packages that Truto's functions hand them to (qs, xml-js, json2csv), and that are not here."""

DIFFERENCES = (
    Difference(
        "any expression",
        "time, depth, elements, text, source and result are bounded (`truto.expressions.Limits`)",
        "an expression runs beside others on a server, over data that strangers send",
    ),
    Difference(
        "a webhook's expression before its sender is proven: a transform that makes what is signed, "
        "`options.verified_by_expression`",
        "ends after 2 s of CPU, however large the body: 400 `expression_failed`",
        "anybody may send the largest body, and all sources wait for the same threads; what takes a signature out of a "
        "header passes over any body, and what is evaluated after the proof (`options.order`) has ten times as long",
    ),
    Difference(
        "regular expressions",
        "RE2: no look-around, no back-references; refused when the expression is compiled",
        "RE2 takes linear time, a backtracking engine can be held for minutes by one text",
    ),
    Difference(
        "a function, a regular expression or binary data in the result",
        "an error (`result`)",
        "they are not JSON; JavaScript leaves them out without a word",
    ),
    Difference(
        "half of a character (`'\\ud83d'`) in the result",
        "an error (`result`)",
        "it cannot be written as UTF-8",
    ),
    Difference(
        "integers of more than 15 digits",
        "keep all their digits, in `$string` too",
        "an id must not change on its way; JSONata writes 15 of them, and JavaScript rounds beyond 2^53",
    ),
    Difference(
        "numbers that are not finite (`1/0`)",
        "`null` in the result, as in Truto; functions refuse them (`D1001`), and an infinite one is true",
        "JSONata refuses them in some places, and in others not",
    ),
    Difference(
        "`$parseInteger` of what is no number", "an error", "it would be `null`, of which nobody learns that it is none"
    ),
    Difference("dates outside the years 1 to 9999", "invalid", "Python's calendar ends there"),
    Difference(
        "dates: `setLocale`, `toLocaleString` with options, names of months, days and zones",
        "English as in the United States, zones by their short name alone; such options are an error",
        "other languages come from the machine's own tables, and change with them",
    ),
    Difference(
        "dates that are invalid: `invalidReason`, `invalidExplanation`",
        "`unparsable` or `unsupported zone`; no explanation",
        "they are for people to read, and change with the package",
    ),
    Difference(
        "a predicate over nothing (`missing[…]`)",
        "is not evaluated",
        "JSONata evaluates it once, so that its errors show; it gives nothing either way",
    ),
    Difference(
        "`$values` of what a path found",
        "the values",
        "Truto's have a `true` behind them, with which JSONata marks its arrays",
    ),
    Difference(
        "`$keys` of dates, durations, URLs and graphs; `until` of a date",
        "the documented members; the interval as ISO text",
        "Truto gives what the packages keep inside of their objects",
    ),
    Difference(
        "an option that a function does not know",
        "an error that names it",
        "an option that is ignored looks as if it worked",
    ),
    *(
        Difference(
            f"`{name}`: the options {', '.join(f'`{option}`' for option in options)}", "an error that names it", why
        )
        for name, options, why in (
            ("$parseQuery", QUERY_READING, "a function, called for each value; sparse arrays are no JSON"),
            ("$stringifyQuery", QUERY_WRITING, "they are functions, called for each value"),
            ("$xmlToJs", XML_READING, "functions, names of one's own for members, and forms that nobody has asked for"),
            (
                "$jsToXml",
                XML_WRITING,
                "functions, names of one's own for members, and layouts that read as the same XML",
            ),
            ("$jsonToCsv", CSV_WRITING, "they are functions, called for each value"),
        )
    ),
    Difference(
        "user-written matchers for `$match`, `$split`, `$replace`, `$contains`",
        "an error; write a regular expression",
        "nothing bounds how often a matcher says that there is more",
    ),
    Difference(
        "`$formatNumber` with separators that the number does not reach",
        "are left out",
        "JSONata writes `,1,` for 1 in `#,##,##0`",
    ),
    Difference(
        "`$parseQuery` with `throwOnLimitExceeded`, or with dots in brackets and `allowDots`; "
        "`$stringifyQuery` with `encodeDotInKeys`",
        "repeated keys beyond `arrayLimit` are an error too; `a[b.c]` stays as it is; keys at the top are encoded too",
        "so the documents of the package `qs` say; what it does besides is nobody's intention",
    ),
    Difference(
        "`$parseQuery('toString=1')`",
        "a key like any other",
        "the package `qs` drops names that JavaScript's objects have",
    ),
    Difference(
        "`$xmlToJs` with a document type",
        "an error",
        "entities can multiply, or read files and addresses",
    ),
    Difference(
        "`$jsToXml`: `<`, `&` in attributes, names that are no XML names",
        "escaped; an error",
        "the result would not be the XML that was meant",
    ),
    Difference(
        "`$xmlToJs` of what is no XML: several roots, an attribute twice, an end that is missing",
        "an error",
        "half of a document looks like a whole one",
    ),
    Difference(
        "`$jsToXml`: the blank lines that ignored parts, and empty arrays, leave",
        "are left out",
        "it is the same XML",
    ),
    Difference(
        "`$jsToXml`, `$xmlToJs`: an object or options that the expression makes",
        "work",
        "Truto's version 3.0.6 fails on them by mistake",
    ),
    Difference(
        "`$now()`, `$dtFromIso(…)` and the host's zone", "UTC", "as on Truto's platform, whatever the machine says"
    ),
    Difference(
        "placeholders: values that hold `{{…}}` or `$&`",
        "inserted as they are, in one pass",
        "a value from outside must not become a template",
    ),
    Difference(
        "placeholders: members that JavaScript's objects inherit (`{{a.toString}}`)",
        "not found",
        "they are no part of the data",
    ),
    Difference(
        "placeholders: several paths in one (`{{a b}}`), `/regular expressions/`",
        "refused when the template is compiled",
        "they are easily written by mistake, and never documented",
    ),
    Difference(
        "placeholders that decide about trust (secrets, what is signed)",
        "text and exact numbers alone; nothing found is an error",
        "a missing secret must not become a known one",
    ),
    *(Difference(f"`${name}`", "an error that says so", reason) for name, reason in REASONS.items()),
)


def page() -> str:
    """The page as Markdown."""
    rows = (f"| {each.where.replace('|', chr(92) + '|')} | {each.here} | {each.why} |" for each in DIFFERENCES)
    return "\n".join(
        (
            "# Expressions and placeholders",
            "",
            "Expressions are JSONata 2 with the functions of `@truto/truto-jsonata` 3.0.6, placeholders those of",
            "`@truto/replace-placeholders` 1.0.11, and give what these give, but for the rows below.",
            "`python -m truto.expressions.differences` makes the table.",
            "",
            "| Where | Here | Why |",
            "|---|---|---|",
            *rows,
            "",
        )
    )


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 (the page is its output)
