"""Where a container group may run: the country codes that SaladCloud knows, and the annotation that names some of
them. Pure.

Source: SaladCloud's OpenAPI file, `CountryCode` (ISO 3166-1 alpha-2 in lower case).
"""

from __future__ import annotations

from virtual_kubelet_salad.kubelet.provider import Pod
from virtual_kubelet_salad.saladcloud import pod_annotations

COUNTRY_CODES = frozenset("""
ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq br bs bt bv bw by bz
ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg eh er es et fi fj fk fm fo
fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je
jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo
mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw
py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv sx sy sz tc td tf tg th tj tk tl tm
tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
""".split())


def country_codes(pod: Pod) -> list[str] | None:
    """`country_codes` of the request, each once; None: anywhere.

    Raises `Refused`, naming every code that is wrong: a shorter list would be another placement.
    """
    written = pod_annotations.items(pod, pod_annotations.COUNTRY_CODES)
    wrong = [code for code in written if code.casefold() not in COUNTRY_CODES]
    if wrong:
        named = ", ".join(pod_annotations.quoted(code) for code in wrong)
        raise pod_annotations.invalid(
            pod_annotations.COUNTRY_CODES, f"names no country by {named}; it takes ISO 3166 codes such as us, de, gb"
        )
    return list(dict.fromkeys(code.casefold() for code in written)) or None
