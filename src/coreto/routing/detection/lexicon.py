"""Words that speak for a task, English and Portuguese together, without accents and in lower case.

Portuguese verbs stand as stems and are expanded here, since people give orders in all of ``manda``,
``mande`` and ``mandar``. A word may stand in several classes: the learned weights settle which one counts
beside which. Class names: capital for what is asked (verbs), small for what it is about (nouns).
"""

from collections.abc import Iterator
from functools import cache
from types import MappingProxyType

#: Stems of regular verbs in -ar, and English or irregular forms as they are written.
_AR_VERBS = {
    "PLAN": "planej analis avali compar estim prioriz organiz orden elabor estrutur mape diagnostic investig"
    " ponder reavali pens raciocin bol traç esboç argument recomend consider detalh divid justific levant"
    " critic identific simul cronometr dimension",
    "EXEC": "envi mand rod execut baix apag delet agend public paus reinici instal atualiz cancel"
    " import export renov verific peg duplic desativ ativ deslig ligu marc compartilh restaur"
    " liber compact sincroniz carreg descarreg post procur grav encerr remov aprov emit transfer adicion"
    " limp aplic monitor cadastr renderiz junt acion compr chec confirm busc consult reserv cham par dispar"
    " imprim encaminh pag fech aument abaix anex silenci escal tir fix mud troc coloc reprocess solt separ congel acess entreg devolv reajust redefin habilit desabilit inscrev fatur protocol despach rastre mape convoc desmarc remarc compact  avis lembr lig us tradu convert arquiv desfaç repit continu tent"
    " colet derrub suspend reenvi pux jog resgat deplo alert anot notific mat bloque desbloque transcrev",
    "CODE": "refator implement program codific debug depur compil otimiz test tip mock documenta adapt"
    " serializ versiona parse instanci simplific",
    "UI": "desenh redesenh centraliz alinh estiliz arredond diagram prototip anim colori posicion espaç"
    " aument diminu destac reorganiz",
    "MAKE": "cri mont ger adicion coloc escrev prepar us troc mud ajust melhor deix",
    "TALK": "cont fal convers recomend indic invent cant gost ador ach resum",
}
_VERBS = {
    "PLAN": "plan analyse analyze evaluate assess prioritise prioritize outline decide weigh estimate"
    " brainstorm propose recommend diagnose reflect reconsider critique compare map think reason justify"
    " decompose strategise define defina definir define propor proponha propoe reflita refletir decida decidir"
    " decide decompor decomponha sugira sugere sugerir descreva descreve escolha escolher quebra quebre devise"
    " identify survey simulate rank forecast sequence phase set conceber conceba discuta discutir",
    "EXEC": "increase decrease raise lower bump set turn scale mute silence revert attach fill submit ask pin replay settle reset switch kick fire take bring sort separate freeze unfreeze rotate overwrite release hand collect track return refund invite assign reassign tag untag connect disconnect join leave reprocess escalate relaunch top withdraw deposit reply respond answer acknowledge arrange order ship dispatch swap preenche preencha preencher diminui diminua reduz reduza devolve devolva inscreve traz traga tira pede peca pedir ve veja ver da poe bota le confere confira conferir acessa reabre reabra insere insira inserir sobrescreve send run execute download delete schedule publish pause restart install update cancel import export"
    " renew check duplicate deactivate activate disable enable mark share restore grant zip upload sync load"
    " unload post search record kill remove approve issue transfer clean apply watch monitor register render"
    " cut merge buy confirm find look fetch get pull push book reserve call stop start trigger print forward"
    " pay close open notify email mail text msg rerun re-run resend rename move copy convert reboot roll"
    " rollback deploy launch purge wipe block unblock ping count list show grab drop save store log import"
    " envie sobe suba subir derruba faz faca converte converta converter extrai extraia extrair exclui exclua"
    " excluir move mova mover descobre descubra descobrir remove remova remover responde responda responder"
    " transfere transfira emite emita emitir imprime imprima poe reverte reverta desfaz desfaca encerra le leia"
    " abre abra abrir renomeia renomeie le corta corte cortar traduz traduza repete repita conta conte mostra"
    " suspende suspenda inclui inclua transcreve transcreva liste lista listar segue siga",
    "CODE": "drop split extract wrap catch throw handle raise inherit override instantiate parametrize parametrise separa extrai trata tratar substitui substitua substituir leio ler uso usar faco rodo mocko tipo testo cancelo versiono acho refactor implement code program debug compile optimise optimize write rewrite fix port parse mock"
    " serialise serialize unit-test type lint corrige corrija corrigir conserta conserte reescreve reescreva"
    " escreve escreva escrever converte explain explica explique explicar traduz review revisa revise annotate"
    " fatorar resolve resolver tipar testar arruma",
    "UI": "put show hide place position resize thicken thin dim blur round pad crop stretch wrap pin float mostra mostre esconde esconda deixa deixe bota poe aumenta diminui reduz encolhe encolha espaca arredonda suaviza realca destaca sobe desce desca empilha agrupa design redesign centre center align style animate draw sketch mock lay colour color restyle"
    " enlarge shrink stack stick highlight arruma desenhar",
    "MAKE": "create make build generate add put prepare use change adjust improve turn give need want faz faca"
    " fazer escreve escreva escrever poe ponha bota quero preciso transforma transforme da do draft crie cria",
    "TALK": "say put write compose give name find escreve escreva passa passe wish miss feel conta conte tell recommend suggest sing like love think joke translate summarise summarize explain rhyme"
    " traduza traduz resuma sugere diz dizer explica teach ensina inventa",
}
_NOUNS = {
    "plan": "vantagens desvantagens upsides downsides advantages disadvantages causas causes lacunas gaps furos holes politica policy regra rule logica logic argumentos arguments objecoes objections escolha choice opcoes options alternativas alternatives comparativo comparison beneficios benefits custo-beneficio trade milestone viavel feasible esforco effort estimativas estimates projecao projection cenario scenario hipotese hypothesis meta responsaveis owners donos responsabilidades responsibilities entregas deliverables entregaveis marco prioridade sucesso success piloto curriculum estudos study treino training revisao review retrospectiva retrospective plano planos planejamento estrategia estrategias roadmap cronograma riscos risco etapas etapa passos"
    " fases fase marcos milestones abordagem criterios prioridades prioridade cenarios hipoteses metas meta okr"
    " okrs escopo viabilidade pros contras swot raci premortem trade-offs tradeoffs tradeoff decisao matriz"
    " raciocinio arquitetura dependencias stakeholders orcamento calendario ordem caminho plan strategy"
    " timeline risks phases steps approach criteria priorities scenarios hypotheses goals scope feasibility"
    " pros cons decision matrix reasoning architecture dependencies workflow process processo checklist"
    " contingency contingencia rollout pilot piloto recommendation recomendacao roteiro sequencia sequence"
    " breakdown fluxo assumptions premissas analysis analise impacto impact capacidade capacity causa root"
    " estimate estimativa fallback playbook sprint sprints quarter trimestre semestre backlog rfc",
    "exec": "saldo balance extrato cartao boarding embarque check-in voo conta contas spam inbox caixa correio correios parcel encomenda parcels estoque inventory stock cadastro comunicado notice recibo receipt comprovante cupom coupon sala room quarto luz luzes lights ar-condicionado alarme alarm chave chaves key keys ambiente environment acesso access permissao permission dominio domain ip hash hashes link redirect vpn replica replicas cluster pods deployment pr merge release-notes reembolso refund protocolo agendamento appointment consulta horario schedule playlist download downloads snapshot volume gasto gastos spend faturamento turnover ctr cpa cpc roas lance bid lances bids pixel publico audience criativo creative email e-mail relatorio relatorios campanha campanhas anuncio anuncios servidor backup backups arquivo"
    " arquivos pasta pastas pedido pedidos nota boleto fatura chamado ticket reuniao planilha drive whatsapp"
    " cliente contatos lista container containers deploy branch tag staging producao homologacao pipeline"
    " logs senha usuario orcamento gpu vram modelo report campaign campaigns ad ads server file files folder"
    " order invoice meeting spreadsheet contacts logs password user model bucket ftp crm erp sms slack canal"
    " channel agenda calendar video clip clipe audio narracao voice-over printer pagamento payment print"
    " screenshot certificate certificado disk disco processo process metrics metricas leads conta account cron"
    " lembrete reminder mensagem message convite invitation voo flight mesa table dns cdn cache port porta site"
    " draft rascunho snapshot instancia instance job fila queue assinatura subscription temperature temperatura",
    "code": "codigo codigos funcao funcoes script scripts classe classes query queries regex api endpoint endpoints"
    " algoritmo python javascript typescript java rust golang kotlin swift php ruby sql bash powershell c++ c#"
    " django flask fastapi react vue angular node nodejs express laravel spring pandas numpy pytest jest"
    " docker dockerfile docker-compose compose makefile git commit rebase merge pull-request regexp lambda"
    " decorator generator async await promise callback thread threads threading mutex deadlock recursion"
    " recursao loop laco variavel variaveis variable variables metodo method function functions algorithm code"
    " snippet trecho bug bugs stacktrace traceback exception excecao typeerror keyerror valueerror indexerror"
    " nullpointerexception segfault compiler compilador lint linter mypy eslint type-hints types tipagem parser"
    " struct enum dataclass interface schema migration migrations orm select join index indice postgres mysql"
    " sqlite mongodb redis unittest teste testes tests test fixture mock mocks json yaml csv webhook jwt hmac"
    " sdk cli boto3 asyncio pydantic sqlalchemy alembic graphql grpc websocket hook hooks useeffect usestate"
    " module modulo modulos biblioteca library package pacote importerror array dict dicionario tupla string"
    " pointer ponteiro memory-leak refactor benchmark pseudocodigo pseudocode macro vba formula crontab helper"
    " programa programming typer iterator queryset unit-tests beautifulsoup scraper selenium playwright requests httpx aiohttp sqlmodel lodash dayjs moment tox poetry npm yarn pnpm pip virtualenv venv terraform helm kubernetes k8s nginx systemd rabbitmq pika kafka celery faker supertest hypothesis property-based lru semaphore semaforo debounce goroutine borrow jinja vscode rails nestjs next.js fastify julia scala elixir haskell perl matlab cobol cors strftime datetime decimal float encoding utf-8 elif list-comprehension comprehension serializer payload constructor construtor inheritance heranca composition composicao import imports pseudo-code rebase cherry-pick one-liner awk grep sed argparse toml dockerizar idempotente idempotent thread-safe",
    "ui": "galeria gallery carousel mosaico mosaic combinacoes combinations clutter poluido poluida destaque highlight popover overlay dialog dialogo seletor picker selector accordion acordeao arrastar drag swipe tap toque touch phone phones tablets monitor ultrawide legivel ilegivel readable visualizacao visualization timeline panel console kiosk totem app vitrine frontend front-end contrasts daltonismo daltonicos blindness bonito bonita feio feia ugly pretty clean minimalista minimalist moderno modern vertical horizontal esquerda direita left right topo top bottom canto corner tela telas layout layouts botao botoes botoeszinhos cor cores fonte fontes tipografia paleta icone icones menu modal"
    " dropdown formulario form tema dark-mode css html tailwind flexbox grid card cards cartao cartoes dashboard"
    " painel wireframe mockup prototipo figma interface responsivo responsiva acessibilidade contraste"
    " espacamento margem padding borda bordas sombra sombras gradiente degrade animacao transicao spinner skeleton"
    " esqueleto banner rodape cabecalho header footer navbar sidebar abas tabs tooltip toast carrossel carousel"
    " avatar chip badge breadcrumbs stepper wizard onboarding landing hero pagina home mobile celular"
    " desktop tablet usabilidade ux ui hover placeholder scroll rolagem screen screens button buttons colour"
    " colours color colors font fonts typography palette icon icons modal theme page contrast spacing margin"
    " border borders shadow shadows gradient animation transition component componente components componentes"
    " visual visuals chart grafico graficos kanban slider toggle checkbox input campo campos field fields label"
    " labels hexadecimais hex pixels px responsive accessible accessibility keyboard drawer gaveta bubble"
    " balao baloes title titulo titulos logo logotipo logomarca streamlit gradio flutter swiftui jsx z-index"
    " styled-components svelte viewport column columns coluna colunas row rows linhas centralizado alinhado"
    " alignment ilustracao illustration design sticky flutuante floating",
    "talk": "condolence condolences pesames parabens congratulations despedida farewell amizade friendship amor love tradicao folclore folklore rima rhyme trava-linguas verse verso fabula fable nome name bebe baby fruta fruit vitamina vitamin doce sweet praia beach montanha mountain sono sleep susto medo fear saudade homesick medico doctor remedio medicine escola school professor teacher prova exam vizinho neighbour neighbor cantor singer compos composed banda band ator actor atriz novela serie series autor author rei king rainha queen guerra-fria imperio empire santo natal christmas pascoa easter carnaval feriado holiday gorjeta tip etiqueta etiquette educacao manners normal verdade true favorito favorita favourite favorite piada piadas joke jokes poema poem haicai haiku poesia historia story filme movie livro book musica"
    " song receita recipe significado meaning palavra word curiosidade trivia opiniao opinion conselho advice"
    " presente gift aniversario birthday capital pais country planeta planets planet animal animais animals"
    " cachorro dog gato cat filho mae pai amigo namorada namorado chefe boss ferias vacation jantar dinner"
    " comida food cafe coffee viagem travel sentimento feelings triste sad feliz happy cansado cansada tired"
    " ansioso nervous tedio bored slogan legenda caption brinde toast frase sentence paragraph paragrafo"
    " sinonimo synonym antonimo plural gramatica grammar idioma language guerra war presidente president seculo"
    " century inventou invented descobriu discovered escreveu wrote signo zodiac futebol football time copa",
    "hello": "oi ola opa hey hi hello thanks thank obrigado obrigada valeu tchau bye kkk kkkk kkkkk haha"
    " hahaha lol rs rsrs beleza blz ok okay tudo bem legal nice cool cheers falou abraco",
    "think": "ideal melhor best safest seguro segura vale worth deveria deveriamos should devemos recommend"
    " first primeiro antes before why depois after ordem order longo curto prazo deadline prazos"
    " equipe team squads semana week mes month trimestre quarter",
    "again": "isso mesmo mesma same again novo nova repete repeat segue seguir proceed siga continua continue"
    " ahead frente aprovado approved confirmo confirm sim yes faz faca do it pode go manda outros outras others",
}


def _ar_forms(stem: str) -> Iterator[str]:
    """The forms of a verb in -ar that requests are made of; c, g and ç change before e."""
    plain = stem.replace("ç", "c")
    soft = plain
    if stem.endswith("c"):
        soft = f"{stem[:-1]}qu"
    elif stem.endswith("g"):
        soft = f"{stem}u"
    for ending in ("a", "ar", "ando", "amos", "aria", "ou"):
        yield plain + ending
    for ending in ("e", "em", "emos"):
        yield soft + ending


@cache
def classes() -> MappingProxyType[str, tuple[str, ...]]:
    """Every word of the lexicon with the classes it stands in."""
    found: dict[str, list[str]] = {}
    for name, stems in _AR_VERBS.items():
        for stem in stems.split():
            for form in _ar_forms(stem):
                found.setdefault(form, []).append(name)
    for table in (_VERBS, _NOUNS):
        for name, words in table.items():
            for word in words.split():
                found.setdefault(word, []).append(name)
    return MappingProxyType({word: tuple(dict.fromkeys(names)) for word, names in found.items()})
