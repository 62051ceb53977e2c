"""What `doctor` says, in English and Portuguese: a sentence and a mend for every symptom, and the checks."""

from collections.abc import Mapping

#: key → English, Portuguese
DOCTOR: Mapping[str, tuple[str, str]] = {
    "doctor.healthy": ("everything that is wanted works", "tudo o que é necessário funciona"),
    "doctor.line": ("{symptom}: {sentence}", "{symptom}: {sentence}"),
    "doctor.mend": ("mend: {mend}", "conserto: {mend}"),
    "doctor.unknown_time": ("an unknown time", "um horário desconhecido"),
    "doctor.checks": ("Checks", "Verificações"),
    "doctor.findings": ("Findings", "Achados"),
    "doctor.config_invalid": (
        "the configuration is wrong: {problem}",
        "a configuração está errada: {problem}",
    ),
    "doctor.config_invalid.mend": (
        "correct it, then `coreto config check`",
        "corrija e depois rode `coreto config check`",
    ),
    "doctor.data_dir": (
        "the data folder {path} cannot be written: {problem}",
        "não é possível gravar na pasta de dados {path}: {problem}",
    ),
    "doctor.data_dir.mend": (
        "make it writable (`chmod u+rwx {path}`) or set CORETO_DATA_DIR to another folder",
        "dê permissão (`chmod u+rwx {path}`) ou aponte CORETO_DATA_DIR para outra pasta",
    ),
    "doctor.database": (
        "the database cannot be used: {problem}",
        "o banco de dados não pode ser usado: {problem}",
    ),
    "doctor.database.mend": (
        (
            "check CORETO_DATABASE_URL (or database.url) and that its server runs; "
            "CORETO_DATABASE_URL=sqlite uses a file"
        ),
        (
            "confira CORETO_DATABASE_URL (ou database.url) e se o servidor está no ar; "
            "CORETO_DATABASE_URL=sqlite usa um arquivo"
        ),
    ),
    "doctor.ollama_down": (
        "Ollama is down: {detail} ({url})",
        "o Ollama está fora do ar: {detail} ({url})",
    ),
    "doctor.ollama_down.mend": (
        "`ollama serve`, or correct {setting}",
        "`ollama serve`, ou corrija {setting}",
    ),
    "doctor.server_down": (
        "the server {name} is down: {detail} ({url})",
        "o servidor {name} está fora do ar: {detail} ({url})",
    ),
    "doctor.server_down.mend": (
        "start the server at {url}, or correct {setting}",
        "inicie o servidor em {url}, ou corrija {setting}",
    ),
    "doctor.signed_out": (
        "the local Ollama is not signed in, so {name} refuses its cloud models ({detail})",
        "o Ollama local não está conectado à conta, e {name} recusa os modelos na nuvem ({detail})",
    ),
    "doctor.signed_out.mend": ("`ollama signin`, or set {key}", "`ollama signin`, ou defina {key}"),
    "doctor.key_wrong": (
        "the key of {name} is wrong: {detail}",
        "a chave de {name} está errada: {detail}",
    ),
    "doctor.key_wrong.mend": (
        "set {key} to a valid key (environment or .env)",
        "defina {key} com uma chave válida (ambiente ou .env)",
    ),
    "doctor.key_missing": ("{name} has no key", "{name} está sem chave"),
    "doctor.key_missing.mend": (
        "set {key} (environment or .env)",
        "defina {key} (ambiente ou .env)",
    ),
    "doctor.quota": (
        "the quota of {name} is gone until {until}: {detail}",
        "a cota de {name} acabou até {until}: {detail}",
    ),
    "doctor.quota.mend": (
        (
            "wait until then or set {key} to another account's; with FALLBACK_ENABLED=true the next model "
            "of the chain answers meanwhile"
        ),
        (
            "espere até lá ou defina {key} com a chave de outra conta; com FALLBACK_ENABLED=true o próximo modelo "
            "responde enquanto isso"
        ),
    ),
    "doctor.billing": (
        "{name} has no balance: {detail}",
        "{name} está sem saldo: {detail}",
    ),
    "doctor.billing.mend": (
        "add credit to the account of {name}, or set {key} to another account's",
        "adicione crédito à conta de {name}, ou defina {key} com a chave de outra conta",
    ),
    "doctor.entitlement": (
        "the account's plan does not include {deployment}: {detail}",
        "o plano da conta não inclui {deployment}: {detail}",
    ),
    "doctor.entitlement.mend": (
        "upgrade the account of {name}, or take {deployment} out of the roles {roles}",
        "mude o plano da conta de {name}, ou retire {deployment} dos papéis {roles}",
    ),
    "doctor.cloud_down": (
        "the cloud is down: {name} does not answer at {url} ({detail})",
        "a nuvem está fora do ar: {name} não responde em {url} ({detail})",
    ),
    "doctor.cloud_down.mend": (
        "check the network and {setting}; CORETO_OFFLINE=true goes on with local models only",
        "confira a rede e {setting}; CORETO_OFFLINE=true segue só com modelos locais",
    ),
    "doctor.model_missing": (
        "the model {deployment} is missing (wanted by {roles})",
        "falta o modelo {deployment} (usado por {roles})",
    ),
    "doctor.model_missing.mend": (
        "`coreto models pull {deployment}`",
        "`coreto models pull {deployment}`",
    ),
    "doctor.model_missing.mend_name": (
        "correct the name in the chains of {roles}; `coreto models list --all` shows what {name} has",
        "corrija o nome nas cadeias de {roles}; `coreto models list --all` mostra o que {name} tem",
    ),
    "doctor.out_of_memory": (
        "out of memory: {deployment} does not fit ({detail})",
        "memória insuficiente: {deployment} não cabe ({detail})",
    ),
    "doctor.out_of_memory.mend": (
        "free memory (`ollama ps`, then `ollama stop MODEL`), or put a smaller model in the chains of {roles}",
        "libere memória (`ollama ps` e `ollama stop MODELO`), ou use um modelo menor nas cadeias de {roles}",
    ),
    "doctor.out_of_memory.mend_other": (
        "close other programs, or put a smaller model in the chains of {roles}",
        "feche outros programas, ou use um modelo menor nas cadeias de {roles}",
    ),
    "doctor.timeout": (
        "timeout: {deployment} gave no token within {time}",
        "tempo esgotado: {deployment} não deu nenhum token em {time}",
    ),
    "doctor.timeout.mend": (
        "load it beforehand (`ollama run {model} ''`), use a smaller model, or raise {setting}",
        "carregue-o antes (`ollama run {model} ''`), use um modelo menor, ou aumente {setting}",
    ),
    "doctor.timeout.mend_server": (
        "look into the log of {name}, use a smaller model, or raise {setting}",
        "veja o log de {name}, use um modelo menor, ou aumente {setting}",
    ),
    "doctor.timeout.mend_cloud": (
        "check the network to {name}, or raise {setting}",
        "confira a rede até {name}, ou aumente {setting}",
    ),
    "doctor.overloaded": (
        "{deployment} is overloaded: {detail}",
        "{deployment} está sobrecarregado: {detail}",
    ),
    "doctor.overloaded.mend": (
        "try later; with FALLBACK_ENABLED=true the next model of the chain answers",
        "tente mais tarde; com FALLBACK_ENABLED=true o próximo modelo da cadeia responde",
    ),
    "doctor.queue_full": (
        "the queue of {name} is full: {detail}",
        "a fila de {name} está cheia: {detail}",
    ),
    "doctor.queue_full.mend": (
        "wait, or raise OLLAMA_MAX_QUEUE or OLLAMA_NUM_PARALLEL for `ollama serve`",
        "espere, ou aumente OLLAMA_MAX_QUEUE ou OLLAMA_NUM_PARALLEL do `ollama serve`",
    ),
    "doctor.rate": (
        "{deployment} refuses for now, too many requests: {detail}",
        "{deployment} recusa por ora, requisições demais: {detail}",
    ),
    "doctor.rate.mend": (
        "try again in a minute, or use another account's {key}",
        "tente de novo em um minuto, ou use a {key} de outra conta",
    ),
    "doctor.failing": (
        "{deployment} fails: {detail}",
        "{deployment} falha: {detail}",
    ),
    "doctor.failing.mend": (
        "look into the log of {name}; `coreto ask hi --model {deployment} --explain` tries it again",
        "veja o log de {name}; `coreto ask oi --model {deployment} --explain` tenta de novo",
    ),
    "doctor.extra_missing": (
        "the embedded model's engine is not installed",
        "o motor do modelo embutido não está instalado",
    ),
    "doctor.extra_missing.mend": (
        'pip install "coreto[local]"',
        'pip install "coreto[local]"',
    ),
    "doctor.weights_missing": (
        "the embedded model has not been fetched",
        "o modelo embutido ainda não foi baixado",
    ),
    "doctor.weights_missing.mend": ("`coreto models pull smollm2`", "`coreto models pull smollm2`"),
    "doctor.no_model": (
        "no model can answer for {roles} ({why})",
        "nenhum modelo pode responder por {roles} ({why})",
    ),
    "doctor.no_model.mend": (
        "mend what is listed below, or add embedded/smollm2 to the chain",
        "conserte o que está listado abaixo, ou acrescente embedded/smollm2 à cadeia",
    ),
    "doctor.fallback_disabled": (
        "fallback is disabled (by {origin}): when a model fails, no other one answers",
        "a troca automática está desligada (por {origin}): se um modelo falha, nenhum outro responde",
    ),
    "doctor.fallback_disabled.mend": ("FALLBACK_ENABLED=true", "FALLBACK_ENABLED=true"),
    "doctor.stuck": (
        "models do not swap: {name} does not let {model} go ({detail})",
        "os modelos não se alternam: {name} não libera {model} ({detail})",
    ),
    "doctor.stuck.mend": (
        "`ollama stop {model}`, see who else uses it (`ollama ps`), or restart `ollama serve`",
        "`ollama stop {model}`, veja quem mais o usa (`ollama ps`), ou reinicie `ollama serve`",
    ),
    "doctor.stuck.mend_other": (
        "see who else uses {model}, or restart {name}",
        "veja quem mais usa {model}, ou reinicie {name}",
    ),
    "doctor.too_large": (
        "models do not swap: {deployment} takes {needed}, more than the memory_budget of {budget}, and is never loaded",
        "os modelos não se alternam: {deployment} ocupa {needed}, mais que o memory_budget de {budget}, e nunca é carregado",
    ),
    "doctor.too_large.mend": (
        "raise providers.{name}.memory_budget to {needed}, or use a smaller quantisation or context",
        "aumente providers.{name}.memory_budget para {needed}, ou use uma quantização ou um contexto menor",
    ),
    "doctor.no_swap": (
        (
            "models do not swap: {first} and {second} take {needed} together, this machine has {memory}, "
            "and without a memory_budget {name} does not let them take turns"
        ),
        (
            "os modelos não se alternam: {first} e {second} ocupam {needed} juntos, esta máquina tem {memory}, "
            "e sem memory_budget {name} não os faz se alternar"
        ),
    ),
    "doctor.no_swap.mend": (
        'memory_budget = "auto" (or a size such as "16 GB") in [providers.{name}]',
        'memory_budget = "auto" (ou um tamanho como "16 GB") em [providers.{name}]',
    ),
    "doctor.budget_large": (
        "providers.{name}.memory_budget is {budget}, but this machine has {memory}: models that seem to fit will not",
        "providers.{name}.memory_budget é {budget}, mas esta máquina tem {memory}: modelos que parecem caber não cabem",
    ),
    "doctor.budget_large.mend": (
        'memory_budget = "auto" in [providers.{name}], or a size below {memory}',
        'memory_budget = "auto" em [providers.{name}], ou um tamanho abaixo de {memory}',
    ),
    "doctor.slow_swap": (
        "slow swap: {deployment} ({size}) took {time} to come in another's place, at {speed} MB/s",
        "troca lenta: {deployment} ({size}) levou {time} para entrar no lugar de outro, a {speed} MB/s",
    ),
    "doctor.slow_swap.mend": (
        (
            "put its file on a faster disk, use a smaller quantisation, or raise providers.{name}.memory_budget "
            "(and keep_alive) so that both stay"
        ),
        (
            "ponha o arquivo num disco mais rápido, use uma quantização menor, ou aumente providers.{name}.memory_budget "
            "(e keep_alive) para que os dois fiquem"
        ),
    ),
    "doctor.queues": (
        "{deployment} queues: two calls at once were answered one after the other",
        "{deployment} enfileira: duas chamadas simultâneas foram respondidas uma após a outra",
    ),
    "doctor.queues.mend": (
        "OLLAMA_NUM_PARALLEL=4 ollama serve",
        "OLLAMA_NUM_PARALLEL=4 ollama serve",
    ),
    "doctor.queues_here": (
        "{deployment} queues: providers.{name}.parallel is 1, so a panel's calls are answered one after the other",
        "{deployment} enfileira: providers.{name}.parallel é 1, e as chamadas de um painel são respondidas uma a uma",
    ),
    "doctor.queues_here.mend": (
        "parallel = 4 in [providers.{name}]",
        "parallel = 4 em [providers.{name}]",
    ),
    "doctor.queues_here.mend_ollama": (
        "parallel = 4 in [providers.{name}], with OLLAMA_NUM_PARALLEL=4 for `ollama serve`",
        "parallel = 4 em [providers.{name}], com OLLAMA_NUM_PARALLEL=4 no `ollama serve`",
    ),
    "doctor.slow_load": (
        "slow model load or swap: {deployment} took {time} to its first token",
        "carga ou troca de modelo lenta: {deployment} levou {time} até o primeiro token",
    ),
    "doctor.slow_load.mend": (
        "keep it loaded (OLLAMA_KEEP_ALIVE=-1, or providers.ollama.keep_alive = -1), or use a smaller model",
        "mantenha-o carregado (OLLAMA_KEEP_ALIVE=-1, ou providers.ollama.keep_alive = -1), ou use um menor",
    ),
    "doctor.memory_low": (
        "{deployment} wants {needed}; {free} of main memory are free",
        "{deployment} precisa de {needed}; há {free} livres na memória principal",
    ),
    "doctor.memory_low.mend": (
        "close other programs unless it runs on a GPU that holds it, or use a smaller model",
        "feche outros programas, a menos que ele caiba numa GPU, ou use um modelo menor",
    ),
    "doctor.retired": (
        "{deployment} was retired by its provider; {successor} answers instead",
        "{deployment} foi aposentado pelo provedor; {successor} responde no lugar",
    ),
    "doctor.retired.mend": (
        "name {successor} in the configuration",
        "coloque {successor} na configuração",
    ),
    "doctor.idle_roles": (
        "no model for the roles {roles} yet; nothing else needs them",
        "ainda não há modelo para os papéis {roles}; nada mais precisa deles",
    ),
    "doctor.idle_roles.mend": (
        "`coreto models list` shows what each is missing",
        "`coreto models list` mostra o que falta a cada um",
    ),
    "doctor.setting": ("{warning}", "{warning}"),
    "doctor.setting.mend": ("`coreto config check`", "`coreto config check`"),
    "check.config": ("configuration: {file}", "configuração: {file}"),
    "check.no_file": ("no file; defaults and environment", "sem arquivo; padrões e ambiente"),
    "check.data_dir": ("data folder: {path}", "pasta de dados: {path}"),
    "check.database": ("database: {database}", "banco de dados: {database}"),
    "check.fallback_on": ("fallback: on", "troca automática: ligada"),
    "check.fallback_off": ("fallback: off", "troca automática: desligada"),
    "check.offline": ("offline: the cloud is not asked", "offline: a nuvem não é consultada"),
    "check.provider": ("{name} ({url}): {detail}", "{name} ({url}): {detail}"),
    "check.unasked": ("not asked", "não consultado"),
    "check.embedded": ("embedded model: ready", "modelo embutido: pronto"),
    "check.no_weights": ("embedded model: not fetched", "modelo embutido: não baixado"),
    "check.no_extra": ("embedded model: engine not installed", "modelo embutido: motor não instalado"),
    "check.model": ("model {deployment}: not there", "modelo {deployment}: ausente"),
    "check.memory": ("main memory: {free} free", "memória principal: {free} livres"),
    "check.turns": (
        "{name}: models take turns in {budget}",
        "{name}: os modelos se alternam em {budget}",
    ),
    "check.answered": (
        "{deployment} answered: first token after {time}",
        "{deployment} respondeu: primeiro token em {time}",
    ),
    "check.failed": ("{deployment} failed: {outcome}", "{deployment} falhou: {outcome}"),
    "check.roles": ("roles that can be answered: {roles}", "papéis com resposta: {roles}"),
    "check.no_roles": ("no role can be answered", "nenhum papel tem resposta"),
}
