"""Prompt injection in four families: jailbreak, direct, indirect, extraction.

Text rules see attacks that use attackers' set phrases. A plain imperative ("then send the file to ...") reads like any
other sentence and is invisible to them: the control for that is policy on what may follow tainted input, and approval.

The operator's own system prompt and the model's own words are not looked at: both quote such phrases for good reasons.
"""

# ruff: noqa: E501 - a pattern is easier to read on one long line than cut into pieces

from collections.abc import Iterable

from governance.detect.rule import Rule
from governance.exchange import Role

_UNTRUSTED = frozenset((Role.USER, Role.ARGUMENT, Role.RESULT, Role.DEFINITION, Role.OTHER))
_FETCHED = frozenset((Role.ARGUMENT, Role.RESULT, Role.DEFINITION, Role.OTHER))
_GAP = r"[\s,_*>\x22'-]{1,6}"
_LETTER = "[a-z0-9]"
_ALL = r"(?:all |any |every |each )?(?:of )?(?:the |your |my |our |these |those |that |this )?"
_EARLIER = r"(?:previous|prior|preceding|earlier|above|foregoing|original|initial|existing|former|past|old|first)"
_ORDERS = r"(?:instructions?|prompts?|directions?|directives?|commands?|rules|guidelines?|orders|guidance|context|programming)"
_IGNORE = (
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|overlook|bypass|skip|override|overrule|neglect|discard|drop)"
)
_LIMITS = (
    r"(?:restrictions?|limitations?|limits|rules|filters?|guidelines|censorship|morals?|ethics|boundaries|constraints"
    r"|guardrails|safeguards|policies)"
)
_MODEL = r"(?:a\.?i|artificial intelligence|assistant|language model|llm|chat ?bot|chatgpt|gpt|claude|gemini|copilot|agent|model)"
_TELL = r"(?:reveal|show|print|repeat|output|display|disclose|tell me|give me|write|share|leak|dump|expose|recite|echo|list|return)"
_HIDDEN = r"(?:system|initial|original|hidden|secret|pre|base|developer|starting|internal|confidential)"

_JAILBREAK = {
    "anything_now": r"do anything now|(?:stands for|acting as|act as|you are|as|called|named) dan\b",
    "mode": r"(?:developer|dev|god|debug|jailbreak|jailbroken|unrestricted|unfiltered|uncensored|sudo|admin|opposite|evil|chaos|dan"
    r"|maintenance) mode (?:is |has been |now |will be |output|enabled|activated|on\b|unlocked|response)",
    "enter_mode": r"(?:enter|enable|activate|switch (?:in)?to|simulate|go into|turn on|unlock) (?:the |your |full )?"
    r"(?:developer|god|jailbreak|unrestricted|unfiltered|uncensored|sudo|opposite|evil|chaos|dan) mode",
    "unbound": rf"(?:no|without|free (?:of|from)|free of all|ignor(?:e|es|ing)|not bound by|unbound by|has no|have no|lacks) "
    rf"(?:all |any |the |its |your )?(?:ethical|moral|content|safety|openai|anthropic|legal|built in) (?:or \w{{1,12}} )?{_LIMITS}",
    "no_limits": rf"(?:ai|assistant|model|chat ?bot|character|bot|entity|program|version of (?:you|yourself|chatgpt)) (?:that|who|which|with|and) "
    rf"(?:\w{{1,12}} ){{0,4}}(?:no|without(?: any)?|zero|any) (?:\w{{1,14}} )?{_LIMITS}",
    "freed": r"(?:broken|broke|break|breaking) free (?:of|from) (?:the |all |your |its |their )?(?:typical |usual |normal )?"
    r"(?:confines|chains|shackles|rules|restrictions|limits|limitations|openai)",
    "no_refusal": r"(?:you (?:can(?:not|'?t)|must not|will not|won'?t|may not|are not allowed to|should never|must never|will never|never|don'?t)"
    r"|never|do not|under no circumstances) (?:\w{1,12} ){0,2}(?:refuse|decline|reject|deny) (?:to answer|any|my|a|this|the|to respond|user|requests?)",
    "no_apology": r"(?:do not|don'?t|never|without) (?:\w{1,10} ){0,2}(?:apologi[sz]e|apologies|warnings?|disclaimers?|moraliz\w{1,4})"
    r" (?:or|and|nor|,|about) (?:\w{1,12} ){0,3}(?:refus\w{1,4}|disclaimers?|warnings?|ethic\w{0,3}|moral\w{0,4}|legal\w{0,3}|explanations?)",
    "amoral": r"(?:amoral|unethical|immoral|uncensored|unfiltered|unrestricted|unhinged|evil) (?:and \w{1,14} )?(?:ai\b|assistant|chat ?bot"
    r"|language model|persona|version|character|being|confidant|response)",
    "persona": r"(?:pretend|imagine|roleplay|role play|act as if|act like|assume) (?:that )?(?:you are|you're|to be|you|as) (?:\w{1,12} ){0,5}"
    r"(?:not bound|unbound|freed|jailbroken|evil|unrestricted|uncensored|unfiltered|without (?:any )?(?:rules|restrictions|limits|filters))",
    "two_answers": r"(?:two|2|both) (?:different |separate |distinct )?(?:responses?|answers?|ways|paragraphs|replies)[^\x00]{0,60}"
    r"(?:jailbr|\bdan\b|unfiltered|uncensored|developer mode|as normal|normal ai)",
    "stay": r"(?:stay|remain|keep|stop being|break|breaking) (?:in |a )?(?:dan|character)[^\x00\n]{0,40}"
    r"(?:dan|jailbr|you (?:must|will|are)|tokens?|remind you)",
    "tokens": r"(?:lose|deduct|cost you|subtract|have) (?:\w{1,8} )?\d{1,3} (?:tokens|points)[^\x00]{0,80}(?:refus|reject|reluct|declin|die|dead|cease)",
    "hypothetical": r"(?:hypothetical|fictional|fictitious) (?:\w{1,12} ){0,4}(?:where|in which|with) (?:\w{1,12} ){0,8}"
    r"(?:no (?:rules|laws|ethics|restrictions|limits|morals)|laws do not|everything is legal|nothing is illegal)",
    "affirm": r"(?:begin|start|open|prefix) (?:your |the |each |every )?(?:response|answer|reply|message|output)s? (?:with|by) (?:saying )?"
    r"(?:the (?:words?|phrase|sentence) )?[\x22']?(?:sure|absolutely|of course|certainly|yes)\b",
    "grandma": r"(?:deceased|dead|late|passed away) (?:grandmother|grandma|granny)[^\x00]{0,80}(?:used to|would) (?:tell|read|sing)",
}

_DIRECT = {
    "override": rf"{_IGNORE} {_ALL}(?:\w{{1,12}} )?{_EARLIER} (?:\w{{1,14}} ){{0,2}}{_ORDERS}",
    "override_after": rf"{_IGNORE} (?:all|any|every|the|your|my|these|those)(?: of)?(?: the| your| my)? (?:\w{{1,12}} )?{_ORDERS} "
    r"(?:above|before|prior|previously|you (?:were|have|got|received|had)|that (?:you|were|came)|given|so far|until now|and (?:instead|just|only|say|print|follow|do))",
    "override_all": r"(?:ignore|disregard|forget|override|bypass) (?:all|any|every)(?: of)?(?: the| your| my| its)? (?:\w{1,12} )?"
    r"(?:instructions|directives|guidelines|safety \w{1,12}|safeguards|guardrails|programming)",
    "forget": r"(?:forget|disregard|ignore|erase|delete) (?:about )?(?:everything|anything|all that|whatever)(?: of)?(?: that)? "
    r"(?:i|you|we|was|were|has|above|before|written|said|prior|previous|from (?:above|before)|preceding|your (?:previous|prior|earlier|training|rules))\b",
    "above": r"(?:ignore|disregard) (?:all |everything |anything )?(?:of )?(?:the |what is )?(?:above|aforementioned|text above|previous text)\b",
    "system": rf"{_IGNORE} {_ALL}(?:current |whole |entire )?(?:system|developer|assistant|hidden) (?:prompt|message|instruction|instructions|rules|role)",
    "instead": r"(?:do not|don'?t|stop) (?:follow|obey|listen to|comply with|adhere to)(?:ing)? (?:the |your |any |all |my )?(?:of )?(?:the |your )?"
    r"(?:previous|prior|above|earlier|original|system|initial|given|developer)",
    "new_orders": r"(?:your|here are|these are|follow|following|with) (?:the |your |my |some |are )?(?:new|updated|real|actual|true|revised) "
    r"(?:instructions?|task|orders?|directives?|objective|system prompt|goal) (?:is|are|now|follow|below|will|instead)",
    "new_orders_marker": r"(?:new|updated|revised|important|urgent|real|actual|admin|priority|secret) (?:system )?"
    r"(?:instructions?|directives?|system prompt)\s?[:=]\s",
    "from_now": r"from now on,? (?:you (?:are|will|must|shall|should|have to|only|can)|ignore|act|behave|respond|answer|your (?:name|role|task))",
    "now_are": r"you are (?:now|no longer) (?:\w{1,12} ){0,4}(?:an? ?ai\b|assistant|chat ?bot|bot|language model|bound|restricted|required|a (?:hacker|pirate|terminal|human)|chatgpt|claude|gpt)",
    "authority": r"(?:this is|i am|i'm|message from|as|speaking as) (?:the |your |an? )?(?:system administrator|developer|creator|openai|anthropic|admin|root)"
    r"[^\x00\n]{0,40}(?:override|overrid|authori[sz]ed|ignore|disable|grant|new instructions|unlock)",
    "template": r"<\|(?:im_start|im_end|system|user|assistant|start_header_id|eot_id|begin_of_text|end_of_turn|channel|message)\|>"
    r"|<(?:start|end)_of_turn>|\[/?inst\]|<<?/?sys>>?|<\|?/?system\|?>\s{0,3}(?:you|ignore|new|the|from)",
    "role_marker": r"\n\s{0,3}(?:#{1,4} ?|\*{1,2}|\[)?(?:system|developer|admin)(?: message| prompt| override| note| instruction)?(?:\*{1,2}|\])? ?:"
    r"\s{1,3}(?:you|ignore|disregard|new|from|the user|override|forget|please|do not|your)",
    "conversation_end": r"\b(?:end of|end) (?:the )?(?:user )?(?:prompt|instructions|conversation|document|context|input|data|system prompt)[\s=#*_.:<>)-]{1,8}"
    r"(?:new|begin|start|now|system|ignore|real|instructions)",
    "german": r"(?:ignorier\w{1,3}|vergiss|vergessen sie|missachte\w{0,2}) (?:\w{1,10} ){0,4}(?:vorherigen?|bisherigen?|obigen?|fruheren?|alles|vorigen?)"
    r" (?:\w{1,10} ){0,2}(?:anweisung\w{0,2}|instruktion\w{0,2}|befehle?|regeln|vorgaben|aufgaben?|was)",
    "spanish": r"(?:ignora\w{0,2}|olvida\w{0,2}|descarta) (?:\w{1,10} ){0,4}(?:instrucci\w{1,5}|ordenes|reglas|indicaciones|todo) (?:\w{1,10} ){0,3}(?:anterior\w{0,3}|previas?|previos?|antes|arriba)",
    "french": r"(?:ignore[sz]?|oublie[sz]?|ne tene[sz] pas compte) (?:\w{1,10} ){0,4}(?:instructions?|consignes?|ordres?|regles|tout ce) (?:\w{1,10} ){0,3}(?:precedente?s?|anterieure?s?|ci dessus|avant|donnee?s?)",
    "italian": r"(?:ignora|dimentica|trascura)(?:re|te)? (?:\w{1,10} ){0,4}(?:istruzioni|regole|ordini|comandi|tutto) (?:\w{1,10} ){0,3}(?:precedenti|sopra|prima)",
    "portuguese": r"(?:ignor[ea]|esque[cs]a|desconsidere|ignorar) (?:\w{1,10} ){0,4}(?:instruc\w{1,5}|ordens|regras|tudo) (?:\w{1,10} ){0,3}(?:anteriores?|previas?|acima|antes)",
    "dutch": r"(?:negeer|vergeet) (?:\w{1,10} ){0,4}(?:vorige|eerdere|voorgaande|bovenstaande) (?:\w{1,10} ){0,2}(?:instructies|opdrachten|regels|aanwijzingen)",
}

_INDIRECT = {
    "addressed": rf"(?:note|message|attention|notice|important|memo|warning|hey|dear|hello) (?:\w{{1,12}} )?(?:to|for) (?:the |any |all |an |you,? )?(?:the )?{_MODEL}s?\b"
    rf"(?: agents?| models?| assistants?)?\s?[:,.!]",
    "if_ai": rf"(?:if|since|when|because) you(?: are|'re) (?:an? |the )?(?:large )?{_MODEL}\b[^\x00\n]{{0,80}}(?:you (?:must|should|need|have to)|please|ignore|then|do|say|include|follow|summari)",
    "ai_must": r"(?:ai|llm|language) (?:assistants?|models?|agents?|systems?) (?:\w{1,12} ){0,4}(?:must|should|need to|have to|are (?:required|instructed)) (?:\w{1,12} ){0,2}"
    r"(?:follow|execute|ignore|send|include|call|run|forward|obey|read|visit|recommend)",
    "from_user": r"important message from [\w\s,*>\x22'-]{1,94}to you,? (?:the )?[\w\x20.-]{1,40}",
    "before_task": r"before (?:you )?(?:can )?(?:solv|complet|continu|start|begin|proceed|answer|do|finish|perform)\w{0,5} (?:with )?(?:the|your|any|my|this) (?:\w{1,12} )?(?:task|request|question)s?"
    r"[^\x00]{0,90}(?:do the following|you (?:must|have to|need to|should)|please (?:do|first|perform|send|execute)|first)",
    "precondition": r"(?:before|prior to|whenever|when) (?:using|calling|invoking|you (?:use|call|invoke)|running) (?:this|the|any|that) (?:\w{1,16} )?(?:tool|function)s?,? ?"
    r"(?:[^\x00\n]{0,60} )?(?:you (?:must|should|have to|need to)|first|always|read|call|send|make sure|please)",
    "hidden_tag": r"<(?:important|system|secret|hidden|instructions?|critical|admin|override|sys|system_?instructions?|s)>\s{0,12}[^\x00<]{0,120}"
    r"(?:you|must|read|send|call|tool|ignore|file|user|before|always|first)",
    "secrecy": r"(?:do not|don'?t|never|without|must not|avoid) (?:\w{1,10} ){0,2}(?:mention|tell|inform|notify|reveal|disclose|telling|informing|notifying|alert|alerting|mentioning|show|explain) "
    r"(?:any of |about )?(?:this|these|that|it|the user|to the user|anything)(?: \w{1,12}){0,3} (?:to the user|user|to (?:him|her|them|anyone)|file|step|steps|instructions?|action|operation|because|as (?:it|this|they))",
    "user_unaware": r"(?:the )?user (?:does not|doesn'?t|must not|should not|shouldn'?t|need not|must never|will not|is not to) (?:\w{1,8} ){0,2}(?:know|see|notice|be (?:told|informed|aware|notified|shown))",
    "credential_file": r"(?:read|open|cat|load|access|include|send|fetch|copy|upload|attach|get|pass|provide|contents? of)[^\x00\n]{0,40}"
    r"(?:~?/?\.ssh/|id_rsa|id_ed25519|\.aws/credentials|\.env\b|\.netrc|mcp\.json|/etc/(?:passwd|shadow)|\.kube/config|\.npmrc|\.git-credentials|\.cursor/)"
    r"[^\x00\n]{0,80}(?:pass|send|include|as (?:the )?[\x22\x27]?\w{1,16}[\x22\x27]? (?:parameter|argument)|sidenote|content|attach|upload|forward|otherwise|will not work)",
    "exfiltrate": r"(?:send|forward|email|post|upload|transmit|exfiltrate|leak|append|include) (?:\w{1,12} ){0,6}(?:conversation|chat history|chat|api keys?|credentials|passwords|secrets?|system prompt|private keys?|tokens?|context|cookies)"
    r" (?:\w{1,12} ){0,4}(?:to|in|as|at|via|into|on) (?:\w{1,12} ){0,3}(?:https?:|[\w.+-]{1,40}@|the (?:url|link|query|webhook|image|following)|this (?:url|link|webhook|address|email)|webhook|a (?:query|url|parameter))",
    "image": r"!\[[^\x00\]]{0,80}\]\(https?://[^\x00\s)]{1,200}[?&/=](?:\{|\$\{|<|%7b|\[)(?:data|secret|chat|conversation|history|prompt|token|content|user|encoded|summary|info|message)",
    "strictly": r"(?:strictly|only|must) (?:adhere to|follow|obey|execute) (?:the )?(?:following|below|next|these|this) (?:new |only )?(?:instructions?|commands?|directives?|orders?)",
    "information_block": r"<information>[^\x00]{0,200}(?:important message|to you|do the following)",
    "todo": r"(?:todo|instruction|action required|task)\s?:\s?(?:\w{1,12} ){0,6}(?:instead of|rather than) (?:the |answering |what |doing |following )?(?:user|original|previous|summari)",
    "answer_first": r"(?:please |you )?(?:do|complete|perform|execute|carry out) the following (?:\w{1,12} )?(?:first|instructions?|before)[^\x00]{0,60}(?:task|instruction|answer|before|first|:)",
    "side_channel": r"(?:parameter|argument|field|sidenote|notes?)[^\x00\n]{0,40}(?:must|should|has to|needs to|always) (?:contain|include|hold|carry|be filled with|be set to) "
    r"(?:\w{1,12} ){0,6}(?:system prompt|conversation|previous messages|chat history|file contents?|api keys?|credentials|all (?:previous|other) tools?|tool (?:calls|results))",
    "other_tool": r"(?:instead of|do not use|never use|don'?t use|rather than|overrides?|replaces?) (?:the |any |using )?(?:other |\w{1,24} )?tools?[^\x00\n]{0,40}(?:always|must|use this|call this|this tool|only this)",
}

_EXTRACTION = {
    "reveal": rf"{_TELL} (?:me |us |out |back |to me )?(?:all |exactly |word for word |verbatim |the full |the entire |the complete |a copy of )?(?:of )?(?:the |your |its |this )?(?:\w{{1,12}} )?"
    rf"{_HIDDEN} ?(?:prompts?|instructions?|message|messages|directives?|configuration|guidelines|rules)",
    "what_is": rf"what (?:is|are|was|were|does) (?:the |your )?(?:exact |full |complete |entire |first |very )?{_HIDDEN} (?:prompts?|instructions?|message|directives?|rules)",
    "what_told": r"(?:what|which) (?:\w{1,14} ){0,3}(?:instructions|rules|prompts?|guidelines|directives) (?:were|are|have|did|do) (?:you|they) (?:been )?(?:given|told|following|follow|receive|get|have|operate)",
    "repeat_above": r"(?:repeat|print|output|display|copy|write|show|recite|echo|translate|summari[sz]e|spell[\x20-]?check) (?:me |out |back |verbatim |exactly )?(?:all |everything |every word |each word |the |any )?(?:of )?(?:the )?"
    r"(?:words?|text|content|sentences?|lines?|everything|instructions?|messages?|prompts?|conversation|tokens)? ?(?:that (?:is|are|was|were|appears?) )?(?:written |stated |printed |given |appearing )?(?:above|before (?:this|the user|my)|prior to this|preceding this|at the (?:start|beginning|top) of (?:this|the|our|your))",
    "verbatim": r"(?:system prompt|your (?:instructions|prompt|guidelines|rules)|initiali[sz]ation)[^\x00\n]{0,50}(?:verbatim|word for word|in (?:a )?(?:code ?block|base64|rot13|hex|json|reverse|full)|character by character|exactly as)",
    "starting_with": r"(?:starting|beginning|start|begin) with (?:the (?:words?|phrase|text) )?[\x22'`]?you are (?:chatgpt|claude|an? |the )",
    "your_prompt": r"(?:reveal|disclose|leak|dump|expose|print|recite|show|tell|give|repeat|output|share|send) (?:me |us )?(?:\w{1,12} ){0,3}your (?:\w{1,12} )?(?:prompt|instructions|system message|guidelines|programming|directives|rules)\b",
    "secret_word": r"(?:what is|what'?s|reveal|tell me|give me|say|print|output|show me|spell|repeat|disclose|share|write) (?:\w{1,10} ){0,3}(?:secret|hidden|access|security|pass) ?(?:key|word|code|phrase|password|value|token|instructions)\b[^\x00\n]{0,40}"
    r"(?:you (?:were|have|know|are|hold|must|got)|\?|now|please|above|from (?:the|your)|in (?:your|the)|backwards|in reverse)",
    "training": r"(?:what|which|describe|list) (?:\w{1,12} ){0,4}(?:tools|functions|apis|plugins) (?:do you have (?:access to)?|are available to you|can you (?:call|use|access))[^\x00\n]{0,50}"
    r"(?:schema|json|definition|parameters|verbatim|exact|internal|description)",
    "debug_output": r"(?:for (?:debugging|audit|auditing|testing|verification|compliance)(?: purposes)?)[^\x00\n]{0,60}(?:print|output|show|reveal|repeat|include|list)[^\x00\n]{0,40}(?:prompt|instructions|configuration|api key|secret)",
}


def _rule(family: str, name: str, phrase: str, roles: frozenset[Role]) -> Rule:
    """A phrase of which each space stands for any short gap between words.

    A word has no character that a gap may have, or one run of them could be read in more ways than can be tried.
    """
    kind = f"injection.{family}"
    pattern = phrase.replace(r"\w{", _LETTER + "{").replace(" ?", f"(?:{_GAP})?").replace(" ", _GAP)
    return Rule(f"{kind}.{name}", kind, pattern, roles=roles, caseless=True, phrase=True)


def rules() -> Iterable[Rule]:
    """The rules of this family."""
    return (
        *(_rule("jailbreak", name, phrase, _UNTRUSTED) for name, phrase in _JAILBREAK.items()),
        *(_rule("direct", name, phrase, _UNTRUSTED) for name, phrase in _DIRECT.items()),
        *(_rule("indirect", name, phrase, _FETCHED) for name, phrase in _INDIRECT.items()),
        *(_rule("extraction", name, phrase, _UNTRUSTED) for name, phrase in _EXTRACTION.items()),
        Rule(
            "injection.indirect.hidden_text",
            "injection.indirect",
            "[\U000e0020-\U000e007e]{8,256}",
            roles=_FETCHED | _UNTRUSTED,
            phrase=True,
            gate=r"(?:\xf3\xa0[\x80\x81][\x80-\xbf]){8}",
        ),
    )
